// Mounts a checkout's attachVoiceAgentUpgrade in a plain Node server.
// Arguments: folder of the voice-agent-backend package, port, URL of the proxy or "spawn", port of the spawned proxy.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const [folder, port, proxyUrl, proxyPort] = process.argv.slice(2);
const { attachVoiceAgentUpgrade } = createRequire(`${folder}/package.json`)('./src/attach-upgrade.js');
const server = createServer((_, response) => response.writeHead(404).end());
const spawn = {
  cwd: folder,
  command: process.execPath,
  args: ['--import', 'tsx', 'scripts/openai-proxy/run.ts'],
  port: Number(proxyPort),
};
await attachVoiceAgentUpgrade(server, {
  openai: { path: '/openai', ...(proxyUrl === 'spawn' ? { spawn } : { proxyUrl }) },
  logger: console,
});
server.listen(Number(port), '127.0.0.1');
