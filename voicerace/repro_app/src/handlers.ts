/** The customer's side of a function call: a tool behind `POST /api/function-call`, and the ways to send its result. */
import type { DeepgramVoiceInteractionHandle, FunctionCallRequest, FunctionCallResponse } from '@signal-meaning/voice-agent-react';
import { note } from './notes';

export type Call = FunctionCallRequest;
export type SendResponse = (response: FunctionCallResponse) => void;
export type Handler = (call: Call, sendResponse: SendResponse) => void | FunctionCallResponse | Promise<FunctionCallResponse>;
export type Style = 'return' | 'async_send' | 'async_ref' | 'void_ref' | 'void_send' | 'ref_now';
type Ref = { readonly current: DeepgramVoiceInteractionHandle | null };

/** Calls the tool of the backend. It takes the backend's `--tool-ms` and one HTTP round trip. */
async function tool(call: Call): Promise<FunctionCallResponse> {
  const answer = await fetch('/api/function-call', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: call.name, arguments: call.arguments }),
  });
  if (!answer.ok) throw new Error(`the tool answered ${answer.status}`);
  return { id: call.id, result: await answer.json() };
}

function byRef(ref: Ref, call: Call, result: unknown): void {
  note('sends', 'ref.sendFunctionCallResponse');
  ref.current?.sendFunctionCallResponse(call.id, call.name, JSON.stringify(result));
}

function bySend(sendResponse: SendResponse, response: FunctionCallResponse): void {
  note('sends', 'sendResponse');
  sendResponse(response);
}

/**
 * Returns the handler of a style.
 *
 * @param retryMs an answer is sent a second time after this time, as code does that retries; undefined for one answer.
 */
export function handlerOf(style: Style, ref: Ref, retryMs?: number): Handler {
  return (call, sendResponse) => {
    note('called', call.name);
    /** Sends the result through the style's channel, which is the ref for a style that returns its result. */
    const answer = (response: FunctionCallResponse): void => {
      if (style === 'async_send' || style === 'void_send') bySend(sendResponse, response);
      else byRef(ref, call, response.result);
    };
    const retry = (response: FunctionCallResponse): FunctionCallResponse => {
      if (retryMs !== undefined) setTimeout(() => answer(response), retryMs);
      return response;
    };
    if (style === 'ref_now') {
      const known = { id: call.id, result: { temperature_c: 21 } };
      answer(known);
      retry(known);
      return;
    }
    if (style === 'void_ref' || style === 'void_send') {
      void tool(call).then((response) => answer(retry(response)));
      return;
    }
    if (style === 'return') {
      return tool(call).then((response) => {
        note('sends', 'the returned value');
        return retry(response);
      });
    }
    // Not every release's type allows a promise of nothing, but every release accepts it.
    return tool(call).then((response) => answer(retry(response))) as unknown as Promise<FunctionCallResponse>;
  };
}

type Subscriber = (call: Call, sendResponse: SendResponse) => void | FunctionCallResponse | Promise<FunctionCallResponse>;

/** An app's own list of subscribers to calls. Effects add to it and, by mistake, never remove what they added. */
export const subscribers: Subscriber[] = [];

/** A handler that passes the call to every subscriber, and returns the value of the first. */
export const toSubscribers: Handler = (call, sendResponse) => subscribers.map((each) => each(call, sendResponse))[0];
