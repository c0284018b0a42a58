// Plays scripted sequences with response-gate.ts: `node gate_runner.cjs MODULE TYPESCRIPT`, one JSON sequence per input line.
const fs = require('node:fs');
const readline = require('node:readline');

const [module_, typescript] = process.argv.slice(2);
const ts = require(typescript);
const code = ts.transpileModule(fs.readFileSync(module_, 'utf8'), { compilerOptions: { module: 'commonjs', target: 'es2020' } });
const loaded = { exports: {} };
new Function('exports', 'module', code.outputText)(loaded.exports, loaded);
const { ResponseGate, RULES, REQUEST_ID } = loaded.exports;

if (process.argv[4] === 'table') {
  process.stdout.write(JSON.stringify({ rules: RULES, id: REQUEST_ID }));
} else {
  readline.createInterface({ input: process.stdin }).on('line', (line) => {
    const { rules, steps } = JSON.parse(line);
    const gate = new ResponseGate(rules);
    process.stdout.write(`${JSON.stringify(steps.map(([name, argument]) => gate[name](argument)))}\n`);
  });
}
