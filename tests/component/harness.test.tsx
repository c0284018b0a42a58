// @ts-nocheck
/**
 * Plays scripts to the real component and records its messages to the proxy and its callbacks to the app.
 *
 * The harness runs inside a checkout of voice-agent-react with installed dependencies, with the checkout's Jest configuration
 * (see data/README.md). It uses the component and the WebSocketManager of the checkout. It supplies a WebSocket that follows
 * the script, an audio device without sound (jsdom has none), and the app. Times are those of Jest's fake clock, so every run
 * gives the same bytes. Time 0 is the moment when the connection opens.
 *
 * VOICERACE_CASES is the path of the file with the cases, VOICERACE_RESULTS the path of the results.
 */
import { readFileSync, writeFileSync } from 'fs';
import { TextDecoder } from 'util';

jest.useFakeTimers({ now: 1_700_000_000_000 });
globalThis.TextDecoder ??= TextDecoder;

const speakers = [];
class SilentSpeaker {
  listeners = [];
  playing = false;
  constructor() { speakers.push(this); }
  addEventListener(listener) { this.listeners.push(listener); return () => {}; }
  emit(event) { this.listeners.forEach((each) => each(event)); }
  async initialize() {}
  getAudioContext() { return { state: 'running' }; }
  setPlaying(isPlaying) {
    if (this.playing === isPlaying) return;
    this.playing = isPlaying;
    this.emit({ type: 'playing', isPlaying });
  }
  async queueAudio() { this.setPlaying(true); }
  clearAudioQueue() { this.setPlaying(false); }
  abortPlayback() { this.setPlaying(false); }
  isPlaybackActive() { return this.playing; }
  isRecordingActive() { return false; }
  async startRecording() {}
  stopRecording() {}
  dispose() {}
}
jest.mock('../src/utils/audio/AudioManager', () => ({ AudioManager: SilentSpeaker }));

const sockets = [];
class ScriptedSocket {
  static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3;
  readyState = 0;
  constructor() {
    sockets.push(this);
    queueMicrotask(() => { this.readyState = 1; this.onopen?.({}); });
  }
  send(data) { if (this.readyState === 1) record('proxy', typeof data === 'string' ? JSON.parse(data) : { bytes: data.byteLength }); }
  close(code) {
    if (this.readyState > 1) return;
    this.readyState = 3;
    record('proxy', { type: '(close)', code });
    queueMicrotask(() => this.onclose?.({ code, reason: '', wasClean: true }));
  }
  receive(data) { if (this.readyState === 1) this.onmessage?.({ data }); }
  drop(code) { this.readyState = 3; this.onclose?.({ code, reason: '', wasClean: true }); }
}
globalThis.WebSocket = window.WebSocket = ScriptedSocket;

let openedAt = 0;
let log = [];
const now = () => Date.now() - openedAt;
// The component sends KeepAlive every 5 s after Settings. It has no effect on a race, so it is not recorded.
const record = (to, message) => { if (message.type !== 'KeepAlive') log.push({ at: now(), to, ...message }); };

/** Name of each public callback of every release -> function that returns the arguments to record. */
const CALLBACKS = {
  onReady: (ready) => ({ ready }),
  onConnectionStateChange: (service, state) => ({ service, state }),
  onTranscriptUpdate: (heard) => ({ transcript: heard.transcript, is_final: heard.is_final, speech_final: heard.speech_final }),
  onAgentStateChange: (state) => ({ state }),
  onAgentUtterance: (said) => ({ text: said.text }),
  onUserMessage: (said) => ({ text: said.text }),
  onPlaybackStateChange: (playing) => ({ playing }),
  onError: (error) => ({ service: error.service, code: error.code, message: error.message, recoverable: error.recoverable }),
  onAgentAudioChunk: (bytes) => ({ bytes }),
  onUtteranceEnd: ({ channel, lastWordEnd }) => ({ channel, lastWordEnd }),
  onIdleTimeoutActiveChange: (active) => ({ active }),
  onSettingsApplied: () => ({}),
  onUserStartedSpeaking: () => ({}),
  onUserStoppedSpeaking: () => ({}),
  onAgentSpeaking: () => ({}),
  onContextWarning: () => ({}),
  onUserMessageSent: () => ({}),
  onAgentInterrupted: () => ({}),
  onAgentOptionsUsedForSettings: () => ({}),
};

const tool = (ms) => new Promise((done) => setTimeout(done, ms));
const attempt = (what, act) => {
  try { return act(); } catch (error) { record('app', { type: '(thrown)', by: what, message: error.message }); }
};

/** Returns the app's handler of the script's style. The handler records its calls. */
function handlerOf({ handler, tool_end: end = 'result', tool_ms: times = [50], repeats = 0, repeat_ms: pause = 0 }, ref) {
  let calls = 0;
  const body = end === 'result' ? { result: { temperature_c: 21 } } : { error: 'the weather service is down' };
  return (call, sendResponse) => {
    record('app', { type: 'onFunctionCallRequest', id: call.id, name: call.name, arguments: call.arguments, client_side: call.client_side });
    const ms = times[Math.min(calls++, times.length - 1)];
    const byRef = () => attempt('sendFunctionCallResponse', () =>
      ref.current.sendFunctionCallResponse(call.id, call.name, JSON.stringify(body.error ? body : body.result)));
    const again = () => { for (let n = 1; n <= repeats; n++) setTimeout(byRef, n * pause); };
    const answer = () => {
      if (handler.answers_by === 'ref') byRef();
      else attempt('sendResponse', () => sendResponse({ id: call.id, ...body }));
      again();
    };
    if (handler.at_once) { if (end !== 'none') answer(); return undefined; }
    if (end === 'none') return handler.returns === 'promise' ? new Promise(() => {}) : undefined;
    if (handler.returns === 'nothing') { setTimeout(answer, ms); return undefined; }
    return (async () => {
      await tool(ms);
      if (end === 'reject') { again(); throw new Error(body.error); }
      if (handler.answers_by === 'value') { again(); return { id: call.id, ...body }; }
      answer();
      return undefined;
    })();
  };
}

async function play(script) {
  jest.resetModules(); // the component keeps state in its modules, and each script needs a new component
  const React = require('react');
  const { createRoot } = require('react-dom/client');
  const Component = require('../src/components/DeepgramVoiceInteraction').default;
  const ref = React.createRef();
  const callbacks = Object.fromEntries(Object.entries(CALLBACKS).map(([type, shape]) =>
    [type, (...given) => record('app', { type, ...shape(...given) })]));
  const options = (more = {}) => ({ instructions: 'You are a helpful voice assistant.', thinkModel: 'gpt-realtime', ...script.options, ...more });
  const root = createRoot(document.createElement('div'));
  const render = (agentOptions, handler) => root.render(
    <Component ref={ref} proxyEndpoint="ws://localhost:8080/openai" agentOptions={agentOptions} {...callbacks}
      onFunctionCallRequest={handler} conversationStorage={script.storage ? { getItem: async () => null, setItem: async () => {} } : undefined} />);
  const handler = handlerOf(script, ref);
  render(options(), handler);
  await jest.advanceTimersByTimeAsync(100);
  const steps = {
    proxy: ({ message }) => sockets.at(-1).receive(JSON.stringify(message)),
    proxy_text: ({ text }) => sockets.at(-1).receive(text),
    proxy_binary: ({ bytes }) => sockets.at(-1).receive(new ArrayBuffer(bytes)),
    proxy_close: ({ code }) => sockets.at(-1).drop(code),
    inject: ({ text }) => ref.current.injectUserMessage(text).catch((error) => record('app', { type: '(thrown)', by: 'injectUserMessage', message: error.message })),
    ref: ({ id, name, content }) => attempt('sendFunctionCallResponse', () => ref.current.sendFunctionCallResponse(id, name, content)),
    microphone: ({ bytes }) => ref.current.sendAudioData(new ArrayBuffer(bytes)),
    played: () => speakers.at(-1).setPlaying(false),
    options: ({ options: more }) => render(options(more), handler),
    start: () => { ref.current.start({ agent: true, transcription: false }); },
    stop: () => { ref.current.stop(); },
    // Simulates another component with a connection on the same page, which sets the same variable of the window.
    another: () => { window.globalSettingsSent = true; },
    // Records the messages that `ref.getAgentManager()` passes to a listener. The published type does not contain this method.
    listen: () => ref.current.getAgentManager().addEventListener((event) => {
      if (event.type === 'message') record('app', { type: '(manager)', of: event.data?.type });
    }),
  };
  for (const step of script.steps.filter(({ at }) => at < 0)) steps[step.do](step);
  openedAt = Date.now();
  steps.start();
  for (const step of script.steps.filter(({ at }) => at >= 0)) {
    if (step.at > now()) await jest.advanceTimersByTimeAsync(step.at - now());
    steps[step.do](step);
  }
  await jest.advanceTimersByTimeAsync(script.until - now());
  const seen = log.filter((each) => each.at >= 0);
  root.unmount();
  jest.clearAllTimers();
  return seen;
}

test('the scripts', async () => {
  const results = [];
  for (const script of JSON.parse(readFileSync(process.env.VOICERACE_CASES, 'utf-8'))) {
    log = [];
    openedAt = Infinity;
    window.globalSettingsSent = false;
    localStorage.clear();
    results.push({ ...script, seen: await play(script) });
  }
  writeFileSync(process.env.VOICERACE_RESULTS, JSON.stringify(results));
}, 600_000);
