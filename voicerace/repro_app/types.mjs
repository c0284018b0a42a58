/** Checks the types of the app against those of the checkout's component (`npm run types`). */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { check, checkout, here } from './checkout.mjs';

check();
const folder = mkdtempSync(path.join(here, '.types-'));
try {
  const modules = path.join(here, 'node_modules');
  const paths = {
    '@signal-meaning/voice-agent-react': [path.join(checkout, 'dist', 'index.d.ts')],
    react: [path.join(modules, '@types', 'react')],
    'react/*': [path.join(modules, '@types', 'react', '*')],
  };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../tsconfig.json', compilerOptions: { paths }, include: ['../src'] }));
  const { status } = spawnSync(process.execPath, [path.join(modules, 'typescript', 'bin', 'tsc'), '-p', folder], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
