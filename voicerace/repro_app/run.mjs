/**
 * Builds the app, serves it with the checkout's own forwarder, and with --once also opens it in Chromium without a window.
 *
 * PROXY_URL (or VOICERACE_HOST_URL, set by `voicerace capture`) names a running proxy, ws://HOST:PORT. Without it the forwarder
 * starts the checkout's proxy itself, as its own server does; that proxy reads OPENAI_API_KEY and OPENAI_REALTIME_URL.
 */
import { spawn } from 'node:child_process';
import { accessSync, appendFileSync, constants, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { backend, build, check, here } from './checkout.mjs';

const { values: given } = parseArgs({
  options: {
    once: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
    handler: { type: 'string', default: 'return' },
    cause: { type: 'string', default: 'none' },
    port: { type: 'string', default: '3001' },
    'tool-ms': { type: 'string', default: '300' },
    'retry-ms': { type: 'string', default: '200' },
    'act-ms': { type: 'string', default: '100' },
    'deadline-ms': { type: 'string', default: '31000' },
    log: { type: 'string' },
  },
});
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];

/** Prints a note of the app, or appends it to the file of --log. */
function note(entry) {
  const line = JSON.stringify(entry) + '\n';
  if (given.log) appendFileSync(given.log, line);
  else process.stdout.write(line);
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString('utf-8');
}

/** Returns the server: the page, the tool, and the notes of the app. `done` is called when the app reports its end. */
function server(script, done) {
  const page = readFileSync(path.join(here, 'index.html'));
  const send = (response, type, content) => response.writeHead(200, { 'content-type': type }).end(content);
  return http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (request.method === 'GET' && pathname === '/') return send(response, 'text/html; charset=utf-8', page);
    if (request.method === 'GET' && pathname === '/main.js') return send(response, 'text/javascript; charset=utf-8', script);
    if (request.method === 'POST' && pathname === '/api/function-call') {
      await body(request);
      await new Promise((after) => setTimeout(after, Number(given['tool-ms'])));
      return send(response, 'application/json', '{"temperature_c":21}');
    }
    if (request.method === 'POST' && pathname === '/api/log') {
      const entry = JSON.parse(await body(request));
      note(entry);
      if (entry.type === 'page error') done(`error in the page: ${entry.text}`);
      return send(response, 'text/plain', '');
    }
    if (request.method === 'POST' && pathname === '/api/done') {
      send(response, 'text/plain', '');
      return done();
    }
    return response.writeHead(404).end();
  });
}

/** Attaches the checkout's forwarder at /openai. */
async function attach(to) {
  const { attachVoiceAgentUpgrade } = createRequire(import.meta.url)(path.join(backend, 'src', 'attach-upgrade.js'));
  const running = process.env.PROXY_URL || process.env.VOICERACE_HOST_URL;
  const own = {
    cwd: backend,
    command: process.execPath,
    args: ['--import', 'tsx', 'scripts/openai-proxy/run.ts'],
    port: await freePort(),
  };
  const openai = running ? { path: '/openai', proxyUrl: `${running.replace(/\/$/, '')}/openai` } : { path: '/openai', spawn: own };
  return attachVoiceAgentUpgrade(to, { openai, logger: console });
}

function freePort() {
  return new Promise((found) => {
    const probe = http.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => found(port));
    });
  });
}

/** Opens the address in Chromium without a window. `ended` is called with the reason if Chromium ends. */
function browse(address, ended) {
  const profile = mkdtempSync(path.join(os.tmpdir(), 'repro-app-'));
  const names = process.env.CHROMIUM ? [process.env.CHROMIUM] : BROWSERS;
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const exists = (file) => { try { accessSync(file, constants.X_OK); return true; } catch { return false; } };
  const program = names.flatMap((name) => (name.includes('/') ? [name] : folders.map((each) => path.join(each, name)))).find(exists);
  if (!program) throw new Error(`there is no Chromium (${names.join(', ')}); the variable CHROMIUM names one`);
  const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : []; // Chromium refuses its sandbox to root
  const child = spawn(
    program,
    [
      '--headless=new', ...sandbox, `--user-data-dir=${profile}`, '--no-first-run', '--disable-gpu', '--mute-audio',
      '--disable-background-networking', '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
      '--autoplay-policy=no-user-gesture-required', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream',
      '--remote-debugging-port=0', address,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
  );
  let last = '';
  child.stderr.on('data', (data) => (last = data.toString('utf-8').trim().split('\n').at(-1) || last));
  child.on('error', (error) => ended(`Chromium did not start: ${error.message}`));
  child.on('exit', (code) => ended(`Chromium ended with ${code}: ${last}`));
  return () => {
    child.removeAllListeners('exit');
    try { process.kill(-child.pid, 'SIGKILL'); } catch { /* it has ended */ }
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
}

async function main() {
  check();
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  /** The app has ended, or its page had an error. Without --once a user goes on with the page. */
  const over = (why) => given.once && finish(why);
  const serving = server(await build(), over);
  await new Promise((listens, fails) => serving.once('error', fails).listen(Number(given.port), '127.0.0.1', listens));
  const forwarder = await attach(serving);
  const query = new URLSearchParams({
    handler: given.handler, cause: given.cause, strict: given.strict ? '1' : '0',
    retry_ms: given['retry-ms'], act_ms: given['act-ms'], deadline_ms: given['deadline-ms'],
  });
  const address = `http://127.0.0.1:${serving.address().port}/?${query}`;
  let status = 1;
  for (const sign of ['SIGINT', 'SIGTERM']) {
    process.once(sign, () => {
      status = 128 + os.constants.signals[sign];
      finish(`ended by ${sign}`);
    });
  }
  if (!given.once) {
    process.stdout.write(`open ${address}\n`);
    await finished;
    await end(forwarder, serving);
    return;
  }
  const close = browse(address, (why) => finish(why));
  const limit = setTimeout(() => finish('the app did not end'), Number(given['deadline-ms']) * 2 + 60_000);
  const why = await finished;
  clearTimeout(limit);
  close();
  await new Promise((after) => setTimeout(after, 300)); // the forwarder and the proxy close their connections
  await end(forwarder, serving);
  if (why) throw Object.assign(new Error(why), { status });
}

async function end(forwarder, serving) {
  serving.closeAllConnections();
  serving.close();
  await Promise.race([forwarder.shutdown(), new Promise((after) => setTimeout(after, 2000))]);
}

main().then(
  () => process.exit(0),
  (error) => {
    const why = String(error.message ?? error).split('\n')[0];
    if (given.log) note({ type: 'failed', text: why });
    process.stderr.write(`repro-app: ${why}\n`);
    process.exit(error.status ?? 1);
  },
);
