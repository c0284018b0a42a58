// Edits of TypeScript and JavaScript sources, located by structure. A source without the expected structure is refused.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A place in a source that an edit needs and that does not exist, or exists more than once. */
export class PlaceError extends Error {}

/** Load the TypeScript compiler of the checkout: `from` is a folder whose `node_modules` can contain it. */
export function compiler(from) {
  try {
    return createRequire(path.join(from, 'package.json'))('typescript');
  } catch {
    throw new PlaceError(`${from}: no TypeScript compiler; install the package's development dependencies there`);
  }
}

/** A parsed source and the edits of it. `write` applies the edits. */
export class Source {
  constructor(ts, file) {
    this.ts = ts;
    this.file = file;
    this.text = readFileSync(file, 'utf8');
    const kind = file.endsWith('.tsx') ? ts.ScriptKind.TSX : file.endsWith('.ts') ? ts.ScriptKind.TS : ts.ScriptKind.JS;
    this.tree = ts.createSourceFile(file, this.text, ts.ScriptTarget.Latest, true, kind);
    this.edits = [];
  }

  /** Return all nodes for which `test` is true, in order. */
  all(test, root = this.tree) {
    const found = [];
    const visit = (node) => {
      if (test(node)) found.push(node);
      this.ts.forEachChild(node, visit);
    };
    this.ts.forEachChild(root, visit);
    return found;
  }

  /** Return the only node for which `test` is true. `what` describes it in an error. */
  one(what, test, root = this.tree) {
    const found = this.all(test, root);
    if (found.length !== 1) throw new PlaceError(`${this.file}: ${found.length} places instead of one: ${what}`);
    return found[0];
  }

  /** Return the code of a node without comments and with single spaces. */
  code(node) {
    return node.getText(this.tree).replace(/\s+/g, ' ');
  }

  /** Return whether a node is a statement with this code. */
  says(node, code) {
    return this.ts.isStatement(node) && this.code(node) === code;
  }

  /** Return the statement that contains a node. */
  statement(node) {
    while (!this.ts.isStatement(node)) node = node.parent;
    return node;
  }

  /** Return the statements beside a statement, in order. */
  siblings(statement) {
    return [...statement.parent.statements];
  }

  /** Return the spaces before a node. */
  indent(node) {
    const start = node.getStart(this.tree);
    return /[ \t]*$/.exec(this.text.slice(this.text.lastIndexOf('\n', start) + 1, start))[0];
  }

  /** Insert lines after a statement, with its indent. */
  after(statement, lines) {
    this.edits.push({ at: statement.end, end: statement.end, text: this.lines(statement, lines) });
  }

  /** Insert lines before a statement and its comments. */
  before(statement, lines) {
    const at = statement.getFullStart();
    this.edits.push({ at, end: at, text: this.lines(statement, lines) });
  }

  lines(statement, lines) {
    const indent = this.indent(statement);
    return lines.map((line) => `\n${line && indent + line}`).join('');
  }

  /** Replace a statement and the comments above it by lines. */
  replace(statement, lines) {
    const comments = this.ts.getLeadingCommentRanges(this.text, statement.getFullStart()) ?? [];
    const start = comments.length ? comments[0].pos : statement.getStart(this.tree);
    this.edits.push({ at: this.text.lastIndexOf('\n', start), end: statement.end, text: this.lines(statement, lines) });
  }

  write() {
    let text = this.text;
    for (const edit of [...this.edits].sort((a, b) => b.at - a.at || b.end - a.end)) text = text.slice(0, edit.at) + edit.text + text.slice(edit.end);
    writeFileSync(this.file, text);
  }
}

/** Run an edit program: `main(checkout folder, folder of this project's modules)`. A refused source ends with status 3. */
export function run(main) {
  try {
    main(process.argv[2], import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname));
  } catch (error) {
    if (!(error instanceof PlaceError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 3;
  }
}
