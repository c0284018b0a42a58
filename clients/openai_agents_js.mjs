// @openai/agents-realtime (Node): a realtime agent with one function tool.
//
// Environment: npm install @openai/agents-realtime@0.20.0 zod, in the folder env
// Command: node env/openai_agents_js.mjs, a copy of this file in env (modules are found beside the file)
import { createInterface } from 'node:readline';
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';

const toolMs = process.env.VOICERACE_TOOL_MS.split(',').map(Number);
let calls = 0;

const getWeather = tool({
  name: 'get_weather',
  description: 'The weather in a city.',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
  strict: true,
  execute: async () => {
    const ms = toolMs[Math.min(calls++, toolMs.length - 1)];
    await new Promise((resolve) => setTimeout(resolve, ms));
    return JSON.stringify({ sky: 'clear' });
  },
});

const agent = new RealtimeAgent({ name: 'assistant', instructions: 'You are a helpful assistant.', tools: [getWeather] });
const url = process.env.VOICERACE_URL;
const apiKey = process.env.OPENAI_API_KEY;
const session = new RealtimeSession(agent, { transport: new OpenAIRealtimeWebSocket({ url, useInsecureApiKey: true }) });
session.on('error', (error) => console.log('error', JSON.stringify(error.error ?? error)));
await session.connect({ url, apiKey });

for await (const line of createInterface({ input: process.stdin })) session.sendMessage(line);
session.close();
process.exit(0);
