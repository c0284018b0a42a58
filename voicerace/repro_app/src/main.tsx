/**
 * One conversation: connect, one user message, one function call, one result.
 *
 * Options in the page's address: `handler` (how the result is sent), `strict` (1: under React.StrictMode), `cause` (what else the
 * app does, see `Cause`), `retry_ms`, `act_ms` (time from the call until the cause), `deadline_ms`.
 */
import { useEffect, useMemo, useRef, useState, useSyncExternalStore, StrictMode, type ComponentType, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { DeepgramVoiceInteraction, type AgentOptions, type DeepgramVoiceInteractionHandle } from '@signal-meaning/voice-agent-react';
import { handlerOf, subscribers, toSubscribers, type Style } from './handlers';
import { allNotes, note, onNotes } from './notes';

/**
 * none: nothing else. retry: the result is sent again. leaky_effect: an effect subscribes to calls and does not unsubscribe.
 * remount: voice-agent-react gets another key while the tool runs. two_components: two are mounted and started. hot_handler: the app
 * is rendered again with a new handler function while the tool runs, as a hot reload does. hot_remount: the type of the app's
 * own component changes, as a hot reload does that cannot keep the state.
 */
type Cause = 'none' | 'retry' | 'leaky_effect' | 'remount' | 'two_components' | 'hot_handler' | 'hot_remount';

const query = new URLSearchParams(location.search);
const style = (query.get('handler') ?? 'return') as Style;
const cause = (query.get('cause') ?? 'none') as Cause;
const strict = query.get('strict') === '1';
const ms = (name: string, usual: number): number => Number(query.get(name) ?? usual);
const retryMs = cause === 'retry' ? ms('retry_ms', 200) : undefined;
const actMs = ms('act_ms', 100);
const deadlineMs = ms('deadline_ms', 31_000);

const QUESTION = 'What is the weather in Lisbon?';
const AGENT: AgentOptions = {
  instructions: 'You are a helpful voice assistant.',
  thinkModel: 'gpt-realtime',
  idleTimeoutMs: 120_000,
  functions: [
    {
      name: 'get_weather',
      description: 'The weather in a city.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  ],
};

let asked = false;
let acted = false;
let reload = (): void => undefined;
let remount = (): void => undefined;

/** Does what `cause` says while the tool runs. */
function act(): void {
  if (cause !== 'remount' && cause !== 'hot_handler' && cause !== 'hot_remount') return;
  note('acts', cause);
  if (cause === 'remount') remount();
  else reload();
}

/** The customer's component: it starts the agent when it is mounted, asks once, and answers calls. */
function Agent({ name, asks }: { name: string; asks: boolean }): ReactNode {
  const ref = useRef<DeepgramVoiceInteractionHandle>(null);
  const [key, setKey] = useState(0);
  const own = handlerOf(style, ref, retryMs);
  useEffect(() => {
    note('mounted', name);
    if (asks) remount = () => setKey((before) => before + 1);
    if (cause === 'leaky_effect') subscribers.push(own); // by mistake there is no function that removes it
    void ref.current?.start({ agent: true, transcription: false });
    const late = setTimeout(ask, 3000); // some forwarders drop Settings, and SettingsApplied never comes
    return () => {
      note('unmounted', name);
      clearTimeout(late);
    };
  }, [key]);
  const ask = (): void => {
    if (asked || !asks) return;
    asked = true;
    note('asks', QUESTION);
    void ref.current?.injectUserMessage(QUESTION);
  };
  const answer = cause === 'leaky_effect' ? toSubscribers : own;
  return (
    <DeepgramVoiceInteraction
      key={key}
      ref={ref}
      proxyEndpoint={`ws://${location.host}/openai`}
      agentOptions={AGENT}
      onConnectionStateChange={(service, state) => note('connection', `${name}: ${service} ${state}`)}
      onSettingsApplied={() => {
        note('settings applied', name);
        setTimeout(ask, 300);
      }}
      onFunctionCallRequest={(call, sendResponse) => {
        if (!acted) {
          acted = true;
          setTimeout(act, actMs);
        }
        return answer(call, sendResponse);
      }}
      onAgentUtterance={(said) => note('agent', said.text)}
      onUserMessage={(said) => note('user', said.text)}
      onError={(error) => note('error', `${error.code}: ${error.message}`)}
    />
  );
}

/** Two component types that render the same. React unmounts one and mounts the other. */
const TYPES: ComponentType<{ name: string; asks: boolean }>[] = [Agent, (props) => <Agent {...props} />];

function App(): ReactNode {
  const [version, setVersion] = useState(0);
  reload = () => setVersion((before) => before + 1);
  const One = TYPES[cause === 'hot_remount' ? version : 0] ?? Agent;
  return (
    <>
      <One name="first" asks />
      {cause === 'two_components' && <Agent name="second" asks={false} />}
      <Notes />
    </>
  );
}

function Notes(): ReactNode {
  const notes = useSyncExternalStore(onNotes, allNotes);
  const title = useMemo(() => `Handler ${style}, ${strict ? 'StrictMode' : 'no StrictMode'}, cause ${cause}`, []);
  return (
    <>
      <h1>{title}</h1>
      <table>
        <thead>
          <tr>
            <th>ms</th>
            <th>what</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {notes.map((each, index) => (
            <tr key={index} className={each.type.includes('error') ? 'error' : ''}>
              <td>{each.at}</td>
              <td>{each.type}</td>
              <td>{each.text}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

/** Reports the end to the backend: 3 s after the last note if a reply was heard, else `deadline_ms` after it. */
function watch(): void {
  let since = performance.now();
  onNotes(() => (since = performance.now()));
  const timer = setInterval(() => {
    const notes = allNotes();
    const answered = notes.findIndex((each) => each.type === 'sends');
    const heard = answered >= 0 && notes.slice(answered).some((each) => each.type === 'agent' && !each.text.startsWith('Function call:'));
    if (performance.now() - since < (heard ? 3000 : deadlineMs)) return;
    clearInterval(timer);
    void fetch('/api/done', { method: 'POST' }).catch(() => undefined);
  }, 100);
}

watch();
createRoot(document.getElementById('root')!).render(strict ? <StrictMode children={<App />} /> : <App />);
