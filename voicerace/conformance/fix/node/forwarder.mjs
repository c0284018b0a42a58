// Lets a checkout's forwarder keep what the browser sends before the connection to the proxy is open.
import path from 'node:path';
import { compiler, PlaceError, run, Source } from './edits.mjs';

run((checkout) => {
  const backend = path.join(checkout, 'packages/voice-agent-backend');
  const source = new Source(compiler(backend), path.join(backend, 'src/attach-upgrade.js'));
  const { ts } = source;

  const forwarder = source.one(
    '`function createOpenAIWss(…)`',
    (node) => ts.isFunctionDeclaration(node) && node.name?.text === 'createOpenAIWss',
  );
  const opened = source.one(
    "`upstream.on('open', …)` in `createOpenAIWss`",
    (node) => ts.isExpressionStatement(node) && /^upstream\.on\('open', /.test(source.code(node)),
    forwarder,
  );
  const listener = source.all(
    (node) => ts.isExpressionStatement(node) && /^clientWs\.on\('message', /.test(source.code(node)),
    forwarder,
  );
  if (listener.length === 1 && listener[0].parent === opened.parent) {
    process.stdout.write('unchanged: the forwarder keeps early messages\n');
    return;
  }
  if (listener.length !== 1) throw new PlaceError(`${source.file}: ${listener.length} listeners of browser messages instead of one`);
  source.before(opened, [
    '',
    '// The browser can send before the connection to the proxy is open, and can leave.',
    'const early = [];',
    'const keep = (data, isBinary) => early.push({ data, isBinary });',
    "clientWs.on('message', keep);",
    'const leave = () => upstream.readyState === WebSocket.CONNECTING && upstream.close();',
    "clientWs.on('close', leave);",
    "clientWs.on('error', leave);",
  ]);
  source.before(listener[0], ['', "clientWs.off('message', keep);", 'for (const { data, isBinary } of early) upstream.send(data, { binary: isBinary });'].slice(1));
  source.write();
});
