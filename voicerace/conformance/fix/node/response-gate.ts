/**
 * Response gate: decides when a proxy of the Realtime API may send `response.create`.
 *
 * The API has one slot for an active response and refuses a request that arrives while the slot is taken
 * (`conversation_already_has_active_response`). The gate follows the slot by the server's own events and ids. It queues
 * results of function calls and user inputs that need a response until a request is allowed.
 *
 * The module does no I/O and has no timers. Each method changes the state and returns the number of requests to send now.
 * Send each request as `{ type: 'response.create', event_id: REQUEST_ID }`.
 */

/** Client event id of each request. An error that names it is the answer to a request. */
export const REQUEST_ID = 'create';

/** Delay in ms after which a paused gate is resumed. */
export const RETRY_MS = 50;

/** The rules of the gate. */
export const RULES = {
  server_events:
    'the slot is free when response.done of the response that held it arrives, not when its text is done',
  when_free:
    'a request waits until the slot is free and no other request is unanswered',
  at_once:
    'a request after a result is sent at once if the slot is free, because the event that it waits for can be over',
  coalesce:
    'the results of one response, and user text that waits with them, are covered by one request',
  every_call:
    'the request after a result waits for the results of all calls of the same response',
  once:
    'a second result for a call is passed on without a second request',
  retry:
    'a refused request is sent again when the active response is done',
  unless_known:
    'a refused request is not sent again if the active response started after all sent items were confirmed',
} as const;

export type Rule = keyof typeof RULES;

type Fields = Record<string, unknown>;

/** Entry for user text in `unconfirmed`, whose other entries are call ids of results. */
const TEXT = 'user text';

const ITEM_EVENTS: unknown[] = ['conversation.item.added', 'conversation.item.created', 'conversation.item.done'];

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** Return the id of the active response that the text of a refusal names, or null. */
function responseNamedBy(error: Fields): string | null {
  const text = error.message;
  const marker = 'in progress: ';
  if (typeof text !== 'string' || !text.includes(marker)) return null;
  const after = text.slice(text.indexOf(marker) + marker.length);
  return after.split(' ', 1)[0].replace(/\.+$/, '') || null;
}

export class ResponseGate {
  private readonly rules: ReadonlySet<string>;
  /** Id of the response that holds the slot according to the server; empty if the slot is free. */
  private active = '';
  /** Whether all items sent so far had been confirmed when `active` was announced. */
  private knows = false;
  /** Whether all items sent so far had been confirmed when the server last decided to start a response by itself. */
  private decided = false;
  /** Id of the last response that is done. */
  private over = '';
  /** Whether a request was refused because of a response that is not done yet. */
  private refused = false;
  /**
   * Whether a request was refused because of a response that is done. No event announces when the slot becomes free, so call
   * `resume` after `RETRY_MS`.
   */
  paused = false;
  /** Number of unanswered requests. */
  private asked = 0;
  /** What the unanswered request covers. */
  private askedWishes: string[] = [];
  private askedGiven: string[] = [];
  /** User inputs that need a response, each `text` or `audio`. */
  private wishes: string[] = [];
  /** For each result that needs a response, the id of the response with its call. */
  private given: string[] = [];
  /** Response id of each unanswered call, by call id. */
  private readonly open = new Map<string, string>();
  /** Response id of each answered call, by call id. */
  private readonly answered = new Map<string, string>();
  /** Sent items that the server has not confirmed: call ids of results, and `TEXT`. */
  private unconfirmed = new Set<string>();

  /** @param rules - the rules that apply; by default all. */
  constructor(rules: Iterable<string> = Object.keys(RULES)) {
    this.rules = new Set(rules);
  }

  /** Handle a result that was passed on. A result of an unknown call, or a second result, does not need a response. */
  result(callId: string): number {
    this.unconfirmed.add(callId);
    this.knows = this.decided = false;
    const response = this.open.get(callId);
    if (response !== undefined) {
      this.open.delete(callId);
      this.answered.set(callId, response);
      this.given.push(response);
    } else if (this.answered.has(callId) && !this.rules.has('once')) {
      this.given.push(this.answered.get(callId) as string);
    }
    return this.rules.has('at_once') ? this.due() : 0;
  }

  /** Handle user input that was passed on: text, or audio that was committed. */
  userInput(kind: 'text' | 'audio'): number {
    this.knows = this.decided = false;
    if (kind === 'text') this.unconfirmed.add(TEXT);
    this.wishes.push(kind);
    return this.due();
  }

  /** End a pause. */
  resume(): number {
    this.paused = false;
    return this.due();
  }

  /** Handle an event of the server. Call it with every event, in order. */
  event(message: unknown): number {
    const event = fieldsOf(message);
    const type = event.type;
    if (type === 'response.created') {
      this.created(fieldsOf(event.response));
    } else if (type === 'response.done') {
      this.done(String(fieldsOf(event.response).id));
    } else if (type === 'response.output_text.done' || type === 'response.output_audio.done') {
      if (this.rules.has('server_events')) return 0;
      this.active = '';
    } else if (type === 'response.output_item.added') {
      const item = fieldsOf(event.item);
      const call = String(item.call_id);
      if (item.type === 'function_call' && !this.answered.has(call)) this.open.set(call, String(event.response_id));
    } else if (type === 'response.function_call_arguments.done') {
      const call = String(event.call_id);
      if (this.open.has(call) || this.answered.has(call)) return 0;
      // A server that sends no output_item.added.
      this.open.set(call, String(event.response_id));
    } else if (ITEM_EVENTS.includes(type)) {
      const item = fieldsOf(event.item);
      if (item.type === 'function_call_output') this.unconfirmed.delete(String(item.call_id));
      else if (item.role === 'user') this.unconfirmed.delete(TEXT);
    } else if (type === 'error') {
      this.error(fieldsOf(event.error));
    } else if (type === 'input_audio_buffer.committed' || type === 'input_audio_buffer.timeout_triggered') {
      // With server VAD, the server decides here which items its response covers, and announces it later.
      this.decided = this.unconfirmed.size === 0;
      return 0;
    } else {
      return 0;
    }
    return this.rules.has('at_once') || type === 'response.done' ? this.due() : 0;
  }

  private created(response: Fields): void {
    if (response.conversation_id === null) return; // an out-of-band response does not take the slot
    this.active = String(response.id);
    this.knows = this.asked > 0 ? this.unconfirmed.size === 0 : this.decided;
    if (this.asked === 0 && this.knows && this.rules.has('unless_known')) {
      // The server started the response after it had confirmed all items, so the response covers these inputs.
      this.given = [];
      this.wishes = this.wishes.filter((each) => each !== 'text');
    }
    this.asked = Math.max(this.asked - 1, 0);
  }

  private done(responseId: string): void {
    this.over = responseId;
    if (this.active === responseId) {
      this.active = '';
      this.refused = false;
    }
  }

  /** Handle an error. Queue a refused request again, unless the active response started after all items were confirmed. */
  private error(error: Fields): void {
    const text = String(error.message);
    this.unconfirmed = new Set([...this.unconfirmed].filter((each) => !text.includes(each)));
    if (error.code !== 'conversation_already_has_active_response') {
      // An error without a client event id can be the answer to the request. The next input sends a new request.
      if (error.event_id === REQUEST_ID || error.event_id == null) this.asked = 0;
      return;
    }
    // The announced response was taken for the answer to the request, but the server started it.
    if (this.asked === 0) this.knows = this.decided;
    const wishes = this.askedWishes;
    const given = this.askedGiven;
    this.askedWishes = [];
    this.askedGiven = [];
    this.asked = Math.max(this.asked - 1, 0);
    const holder = responseNamedBy(error);
    const announced = holder === null || this.active === holder;
    if (holder !== null && holder !== this.over) {
      this.active = holder;
      this.refused = true;
    } else if (holder !== null) {
      this.paused = true;
    }
    const known = announced && this.knows && this.rules.has('unless_known');
    if (this.rules.has('retry') && !known) {
      this.wishes = [...wishes, ...this.wishes];
      this.given = [...given, ...this.given];
    }
  }

  /** Return the number of requests to send now, and note the inputs that they cover. */
  private due(): number {
    const busy = this.rules.has('when_free') ? this.active !== '' || this.asked > 0 : this.refused;
    if (busy || this.paused) return 0;
    const waiting = new Set(this.rules.has('every_call') ? this.open.values() : []);
    const ready = this.given.filter((each) => !waiting.has(each));
    const wanted = this.wishes.length + ready.length;
    if (wanted === 0) return 0;
    const sent = this.rules.has('coalesce') ? 1 : wanted;
    this.asked += sent;
    this.askedWishes = this.wishes;
    this.askedGiven = ready;
    this.wishes = [];
    this.given = this.given.filter((each) => waiting.has(each));
    return sent;
  }
}
