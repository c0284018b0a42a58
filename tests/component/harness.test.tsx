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
    this.number = sockets.length - 1 - firstSocket;
    if (marks) record('proxy', { type: '(open)', socket: this.number });
    queueMicrotask(() => { this.readyState = 1; this.onopen?.({}); });
  }
  send(data) { if (this.readyState === 1) this.record(typeof data === 'string' ? JSON.parse(data) : { bytes: data.byteLength }); }
  record(message) { record('proxy', marks ? { socket: this.number, ...message } : message); }
  close(code) {
    if (this.readyState > 1) return;
    this.readyState = 3;
    this.record({ type: '(close)', code });
    queueMicrotask(() => this.onclose?.({ code, reason: '', wasClean: true }));
  }
  receive(data) { if (this.readyState === 1) this.onmessage?.({ data }); }
  drop(code) { this.readyState = 3; this.onclose?.({ code, reason: '', wasClean: true }); }
}
globalThis.WebSocket = window.WebSocket = ScriptedSocket;

let openedAt = 0;
/** Number of sockets of earlier scripts, and whether the script's record has the number of the socket and of the component. */
let firstSocket = 0;
let marks = false;
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
function handlerOf({ handler, tool_end: end = 'result', tool_ms: times = [50], repeats = 0, repeat_ms: pause = 0, repeat_by: channel = 'ref' }, ref, version) {
  let calls = 0;
  const body = end === 'result' ? { result: { temperature_c: 21 } } : { error: 'the weather service is down' };
  return (call, sendResponse) => {
    const by = version === undefined ? {} : { handler: version };
    record('app', { type: 'onFunctionCallRequest', ...by, id: call.id, name: call.name, arguments: call.arguments, client_side: call.client_side });
    const ms = times[Math.min(calls++, times.length - 1)];
    const byRef = () => attempt('sendFunctionCallResponse', () =>
      ref.current.sendFunctionCallResponse(call.id, call.name, JSON.stringify(body.error ? body : body.result)));
    const bySend = () => attempt('sendResponse', () => sendResponse({ id: call.id, ...body }));
    const again = () => { for (let n = 1; n <= repeats; n++) setTimeout(channel === 'ref' ? byRef : bySend, n * pause); };
    const answer = () => {
      if (handler.answers_by === 'ref') byRef();
      else bySend();
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
  const newRefs = () => Array.from({ length: script.components ?? 1 }, () => React.createRef());
  let refs = newRefs();
  const callbacks = (number) => Object.fromEntries(Object.entries(CALLBACKS).map(([type, shape]) =>
    [type, (...given) => record('app', { type, ...(marks ? { component: number } : {}), ...shape(...given) })]));
  const options = (more = {}) => ({ instructions: 'You are a helpful voice assistant.', thinkModel: 'gpt-realtime', ...script.options, ...more });
  const root = createRoot(document.createElement('div'));
  /** An app's own subscribers to calls, to which the effect of a leaky component adds and from which it removes nothing. */
  const subscribers = [];
  /** The customer's component. With `script.starts` ``effect`` it starts the agent in an effect. */
  const Agent = ({ number, agentOptions, handler }) => {
    React.useEffect(() => {
      if (script.leaky) subscribers.push(handler);
      if (script.starts !== 'effect') return undefined;
      record('app', { type: '(mounted)', component: number });
      refs[number].current.start({ agent: true, transcription: false });
      return () => record('app', { type: '(unmounted)', component: number });
    }, []);
    return (
      <Component ref={refs[number]} proxyEndpoint="ws://localhost:8080/openai" agentOptions={agentOptions} {...callbacks(number)}
        onFunctionCallRequest={script.leaky ? (call, sendResponse) => subscribers.map((each) => each(call, sendResponse))[0] : handler}
        conversationStorage={script.storage ? { getItem: async () => null, setItem: async () => {} } : undefined} />);
  };
  /** What is rendered. Another key or type makes React unmount the components and mount new ones. */
  const shown = { agentOptions: options(), key: 0, Type: Agent, version: marks ? 0 : undefined };
  let handlers = [];
  const newHandlers = () => { handlers = refs.map((each) => handlerOf(script, each, shown.version)); };
  const render = () => {
    const all = refs.map((_, number) =>
      <shown.Type key={`${shown.key} ${number}`} number={number} agentOptions={shown.agentOptions} handler={handlers[number]} />);
    root.render(script.strict ? <React.StrictMode>{all}</React.StrictMode> : all);
  };
  newHandlers();
  render();
  if (script.starts !== 'effect') await jest.advanceTimersByTimeAsync(100);
  const socket = (number) => (number === undefined ? sockets.at(-1) : sockets[firstSocket + number]);
  const steps = {
    proxy: ({ message, socket: number }) => socket(number)?.receive(JSON.stringify(message)),
    proxy_text: ({ text }) => sockets.at(-1).receive(text),
    proxy_binary: ({ bytes }) => sockets.at(-1).receive(new ArrayBuffer(bytes)),
    proxy_close: ({ code }) => sockets.at(-1).drop(code),
    inject: ({ text, component = 0 }) => refs[component].current.injectUserMessage(text).catch((error) => record('app', { type: '(thrown)', by: 'injectUserMessage', message: error.message })),
    ref: ({ id, name, content }) => attempt('sendFunctionCallResponse', () => refs[0].current.sendFunctionCallResponse(id, name, content)),
    microphone: ({ bytes }) => refs[0].current.sendAudioData(new ArrayBuffer(bytes)),
    played: () => speakers.at(-1).setPlaying(false),
    options: ({ options: more }) => { shown.agentOptions = options(more); render(); },
    // A hot reload that keeps the state: the app is rendered with new handler functions.
    rerender: () => { shown.version += 1; newHandlers(); render(); },
    // The component gets another key. The ref is outside and refers to the new component.
    remount: () => { shown.key += 1; shown.version += 1; newHandlers(); render(); },
    // A hot reload that cannot keep the state: the app's component, which holds the ref, has another type.
    retype: () => { shown.Type = (props) => Agent(props); shown.version += 1; refs = newRefs(); newHandlers(); render(); },
    start: () => { refs[0].current.start({ agent: true, transcription: false }); },
    stop: () => { refs[0].current.stop(); },
    // Simulates another component with a connection on the same page, which sets the same variable of the window.
    another: () => { window.globalSettingsSent = true; },
    // Records the messages that `ref.getAgentManager()` passes to a listener. The published type does not contain this method.
    listen: () => refs[0].current.getAgentManager().addEventListener((event) => {
      if (event.type === 'message') record('app', { type: '(manager)', of: event.data?.type });
    }),
  };
  for (const step of script.steps.filter(({ at }) => at < 0)) steps[step.do](step);
  openedAt = Date.now();
  if (script.starts !== 'effect') steps.start();
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
    firstSocket = sockets.length;
    marks = Boolean(script.marks);
    localStorage.clear();
    results.push({ ...script, seen: await play(script) });
  }
  writeFileSync(process.env.VOICERACE_RESULTS, JSON.stringify(results));
}, 600_000);
