// Lets the response gate decide when a checkout's proxy sends `response.create`.
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { compiler, PlaceError, run, Source } from './edits.mjs';

const REQUEST = "upstream.send(JSON.stringify({ type: 'response.create' }));";
const STARTED = ['responseInProgress = true;', 'onResponseStarted();'];

run((checkout, modules) => {
  const backend = path.join(checkout, 'packages/voice-agent-backend');
  const folder = path.join(backend, 'scripts/openai-proxy');
  const source = new Source(compiler(backend), path.join(folder, 'server.ts'));
  const { ts } = source;

  const imports = source.tree.statements.filter(ts.isImportDeclaration);
  if (!imports.length) throw new PlaceError(`${source.file}: no import declaration`);
  source.after(imports[imports.length - 1], ["import { REQUEST_ID, ResponseGate, RETRY_MS } from './response-gate';"]);

  // One gate per connection to the API.
  const connection = source.one(
    'the connection to the API, `const upstream = … new WebSocket(options.upstreamUrl …)`',
    (node) => ts.isVariableStatement(node) && /^const upstream = .*new WebSocket\(options\.upstreamUrl/.test(source.code(node)),
  );
  const starts = source.all((node) => ts.isVariableDeclaration(node) && source.code(node.name) === 'onResponseStarted').length;
  const queued = source.all((node) => ts.isVariableDeclaration(node) && source.code(node.name) === 'pendingInjectTextQueue').length;
  source.after(connection, [
    '/** Decides when `response.create` is sent, so that it does not arrive while a response is active. */',
    'const gate = new ResponseGate();',
    'let retryTimer: ReturnType<typeof setTimeout> | null = null;',
    'const sendRequests = (count: number): void => {',
    '  for (let sent = 0; sent < count; sent++) {',
    "    upstream.send(JSON.stringify({ type: 'response.create', event_id: REQUEST_ID }));",
    starts ? '    onResponseStarted();' : '    responseInProgress = true;',
    '  }',
    '  if (gate.paused && !retryTimer) {',
    '    retryTimer = setTimeout(() => {',
    '      retryTimer = null;',
    '      if (upstream.readyState === WebSocket.OPEN) sendRequests(gate.resume());',
    '    }, RETRY_MS);',
    '  }',
    '};',
    ...(queued ? [] : ['/** User texts that arrived before the session was configured. */', 'const earlyTexts: Buffer[] = [];']),
  ]);

  // A result: the gate replaces the request, or the mark and the timer of a deferred request.
  const made = source.one(
    'the item of a result, `mapFunctionCallResponseToConversationItemCreate(…)`',
    (node) => ts.isVariableStatement(node) && /^const \w+ = mapFunctionCallResponseToConversationItemCreate\(/.test(source.code(node)),
  );
  const name = source.code(made.declarationList.declarations[0].name);
  const rest = source.siblings(made).slice(source.siblings(made).indexOf(made) + 1);
  const sent = rest.find((each) => source.says(each, `upstream.send(JSON.stringify(${name}));`));
  if (!sent) throw new PlaceError(`${source.file}: no send of the item of a result`);
  const later = rest.slice(rest.indexOf(sent) + 1);
  const old = later.filter(
    (each) =>
      source.says(each, REQUEST) || STARTED.includes(source.code(each)) ||
      source.says(each, 'pendingResponseCreateAfterFunctionCallOutput = true;') ||
      source.says(each, 'clearDeferredResponseCreateTimer();') ||
      source.code(each).startsWith('deferredResponseCreateTimeoutId = setTimeout('),
  );
  if (!old.length) throw new PlaceError(`${source.file}: no request and no deferred request after a result`);
  source.after(sent, ["sendRequests(gate.result(String((msg as { id?: unknown }).id)));"]);
  for (const each of old) source.replace(each, []);

  // User text: the gate replaces the wait for the next event of any item.
  const text = source.one('the wait after user text, `pendingItemAddedBeforeResponseCreate = 1;`', (node) =>
    source.says(node, 'pendingItemAddedBeforeResponseCreate = 1;'),
  );
  source.replace(text, ["sendRequests(gate.userInput('text'));"]);

  if (!queued) {
    // Text before session.updated would start a response with the API's defaults, and Settings would not be applied.
    const item = source.siblings(text)[0];
    source.before(item, ['', 'if (!hasSentSettingsApplied) {', '  earlyTexts.push(raw);', '  return;', '}'].slice(1));
    const flush = source.one('`flushPendingAudio();`', (node) => source.says(node, 'flushPendingAudio();'));
    source.before(flush, ['', 'for (const early of earlyTexts.splice(0)) forwardClientMessage(early);'].slice(1));
  }

  // User audio: the request after each commit.
  const commits = source.all((node) => source.says(node, "upstream.send(JSON.stringify({ type: 'input_audio_buffer.commit' }));"));
  if (!commits.length) throw new PlaceError(`${source.file}: no commit of user audio`);
  for (const commit of commits) {
    const beside = source.siblings(commit);
    const [request, started] = beside.slice(beside.indexOf(commit) + 1);
    if (!request || !source.says(request, REQUEST)) throw new PlaceError(`${source.file}: no request after a commit of user audio`);
    if (started && STARTED.includes(source.code(started))) source.replace(started, []);
    source.replace(request, ["sendRequests(gate.userInput('audio'));"]);
  }

  // Server events: after the proxy has handled an event, so that a request follows the messages to the host.
  const handler = source.one(
    "the handler of the API's messages, `upstream.on('message', …)`",
    (node) => ts.isExpressionStatement(node) && /^upstream\.on\('message', /.test(source.code(node)),
  );
  const rearmed = source.all(
    (node) => ts.isVariableDeclaration(node) && source.code(node.name) === 'rearmPendingAudioCommitAfterResponse',
  ).length;
  source.after(handler, [
    "upstream.on('message', (data: Buffer | ArrayBuffer | Buffer[]) => {",
    '  if (clientWs.readyState !== WebSocket.OPEN) return;',
    '  try {',
    '    const event = JSON.parse(data.toString()) as { type?: string } | null;',
    ...(rearmed
      ? ["    if (event?.type === 'response.done') responseInProgress = false;"]
      : [
          "    if (event?.type === 'response.done') {",
          '      responseInProgress = false;',
          '      if (hasPendingAudio) scheduleAudioCommit();',
          '    }',
        ]),
    '    sendRequests(gate.event(event));',
    '  } catch {',
    '    // not JSON; the handler above has reported it',
    '  }',
    '});',
  ]);

  source.write();
  copyFileSync(path.join(modules, 'response-gate.ts'), path.join(folder, 'response-gate.ts'));
});
