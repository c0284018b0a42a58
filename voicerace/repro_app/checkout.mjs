/** Finds the checkout of voice-agent-react and builds the app around its component. */
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = path.dirname(fileURLToPath(import.meta.url));
/** Root of the checkout: the variable CHECKOUT, else the folder or link `checkout` beside this file. */
export const checkout = path.resolve(process.env.CHECKOUT || path.join(here, 'checkout'));
export const component = path.join(checkout, 'dist', 'index.esm.js');
export const backend = path.join(checkout, 'packages', 'voice-agent-backend');

/** Throws an error that says what is missing in the checkout. */
export function check() {
  const needed = [
    [component, 'build the component there: npm ci, npm run build'],
    [path.join(backend, 'src', 'attach-upgrade.js'), 'CHECKOUT is the root of a checkout of voice-agent-react'],
    [path.join(backend, 'node_modules', 'ws'), 'npm ci in its packages/voice-agent-backend'],
  ];
  for (const [file, cure] of needed) if (!existsSync(file)) throw new Error(`${file} is missing; ${cure}`);
}

/** Builds the app with the component of the checkout and with this folder's React, and returns its JavaScript. */
export async function build() {
  const { build: bundle, stop } = await import('esbuild');
  const own = (name) => realpathSync(path.join(here, 'node_modules', name));
  const { outputFiles } = await bundle({
    absWorkingDir: here,
    entryPoints: ['src/main.tsx'],
    bundle: true,
    write: false,
    format: 'esm',
    jsx: 'automatic',
    sourcemap: 'inline',
    // React's development build, because StrictMode mounts twice only there.
    define: { 'process.env.NODE_ENV': '"development"', 'process.env': '{}' },
    alias: { '@signal-meaning/voice-agent-react': component, react: own('react'), 'react-dom': own('react-dom') },
    logLevel: 'silent',
  });
  await stop();
  return outputFiles[0].text;
}
