// Lets a checkout's component send one result per function call, whichever function of its public interface sends it.
import { copyFileSync } from 'node:fs';
import path from 'node:path';
import { compiler, PlaceError, run, Source } from './edits.mjs';

run((checkout, modules) => {
  const source = new Source(
    compiler(path.join(checkout, 'packages/voice-agent-backend')),
    path.join(checkout, 'src/components/DeepgramVoiceInteraction/index.tsx'),
  );
  const { ts } = source;

  const imports = source.tree.statements.filter(ts.isImportDeclaration);
  if (!imports.length) throw new PlaceError(`${source.file}: no import declaration`);
  source.after(imports[imports.length - 1], ["import { CallAnswers } from '../../utils/call-answers';"]);

  // Every result passes through this function, which the component's ref exposes.
  const sender = source.one(
    '`const sendFunctionCallResponse = (id, …) => …`',
    (node) => ts.isVariableStatement(node) && /^const sendFunctionCallResponse = \(id: string,/.test(source.code(node)),
  );
  source.before(sender, ['', '/** One result per function call. */', 'const callAnswersRef = useRef(new CallAnswers());']);
  const message = source.one(
    'the message with the result in `sendFunctionCallResponse`',
    (node) => ts.isVariableStatement(node) && /^const responseMessage = \{ type: 'FunctionCallResponse'/.test(source.code(node)),
    sender,
  );
  source.before(message, [
    '',
    'if (!callAnswersRef.current.claim(id)) {',
    '  log(`Function call ${id} has an answer already; this result is not sent`);',
    '  return;',
    '}',
  ]);

  // The default answer waits, because a handler that returned nothing can still answer.
  const defaults = source.all(
    (node) => ts.isExpressionStatement(node) && /^sendFunctionCallResponse\(.*\{ error: defaultError \}\)\);$/.test(source.code(node)),
  );
  if (!defaults.length) throw new PlaceError(`${source.file}: no default answer, \`{ error: defaultError }\``);
  for (const each of defaults) {
    const call = source.code(each).replace(/;$/, '');
    source.replace(each, [`callAnswersRef.current.unlessAnswered(functionCall.id, () => ${call});`]);
  }

  source.write();
  copyFileSync(path.join(modules, 'call-answers.ts'), path.join(checkout, 'src/utils/call-answers.ts'));
});
