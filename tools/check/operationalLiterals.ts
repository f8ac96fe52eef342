// Finds operational values written into code instead of configuration: lengths of time, sizes, limits, counts, hosts.
// A default belongs in the zod schema of a package's options, where it is documented, checked and overridden.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** One value found where none should be. */
export interface OperationalLiteral {
  /** Path from the root of the repository. */
  readonly file: string
  readonly line: number
  /** The constant, property or parameter that carries it, or the function it is handed to. */
  readonly name: string
  readonly text: string
}

/** Names that say a number is a matter of operation. */
const OPERATIONAL =
  /(Ms|Seconds|Minutes|Hours|Days|Sessions|Bytes|Rows|Size|Limit|Attempts|Tries|Retries|Concurrency|Interval|Timeout|Delay|Backoff|Pause|Grace|Batch|Chunk|Threshold|Ratio|Share|Margin|Tolerance|Capacity|Window|Port|Depth|Length|Connections|Workers|Ttl|Every|Max|Min|Maximum|Minimum|High|Low|Mark|Level|Mb|Gb|Per[A-Z][a-z]+)(?![a-z])|^(max|min|maximum|minimum|limit|ttl|timeout|delay|retries|attempts|concurrency|port|host|every|batch|chunk|depth)|_(MS|SECONDS|MINUTES|HOURS|DAYS|SESSIONS|BYTES|ROWS|SIZE|LIMIT|ATTEMPTS|RETRIES|CONCURRENCY|TIMEOUT|DELAY|GRACE|BATCH|CHUNK|THRESHOLD|RATIO|SHARE|MARGIN|CAPACITY|WINDOW|PORT|LENGTH|TTL|MAX|MIN|MARK|LEVEL|MB|GB)$|_PER_|^(MAX|MIN|LIMIT|TTL|TIMEOUT)_/

/** Functions whose numbers are lengths of time. */
const TIMED = /^(sleep|setTimeout|setInterval|setImmediate|timeout|delay)$/

const HOST =
  /\blocalhost\b|\b127\.0\.0\.1\b|(?<!\$\{[^}]*)\b(?:https?|postgres|postgresql|redis|rediss):\/\/[a-z0-9]/i

/** Every operational literal of one source. */
export function operationalLiterals(file: string, text: string): OperationalLiteral[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const found: OperationalLiteral[] = []
  const visit = (node: ts.Node): void => {
    const value = literalOf(node)
    if (value !== undefined) {
      const name = typeof value === 'number' ? carrier(node) : HOST.test(value) ? 'host' : undefined
      if (name !== undefined && !inSchema(node) && !isType(node)) {
        const { line } = source.getLineAndCharacterOfPosition(node.getStart())
        found.push({ file, line: line + 1, name, text: node.getText() })
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Numbers above 1 and texts; 0 and 1 are identities, not settings. */
function literalOf(node: ts.Node): number | string | undefined {
  if (ts.isNumericLiteral(node)) {
    if (/^0o/i.test(node.getText())) return undefined // permission bits of a file
    const value = Number(node.text.replaceAll('_', ''))
    return value > 1 || !Number.isInteger(value) ? value : undefined
  }
  return ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) ? node.text : undefined
}

/** The operational name a number is bound to, through arithmetic, `??`, `||` and conditionals. */
function carrier(node: ts.Node): string | undefined {
  let child = node
  let parent = node.parent
  while (
    ts.isParenthesizedExpression(parent) ||
    ts.isPrefixUnaryExpression(parent) ||
    ts.isAsExpression(parent) ||
    ts.isSatisfiesExpression(parent) ||
    ts.isConditionalExpression(parent) ||
    (ts.isBinaryExpression(parent) && !isAssignment(parent.operatorToken.kind))
  ) {
    if (
      ts.isBinaryExpression(parent) &&
      parent.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken &&
      parent.right === child
    ) {
      return parent.left.getText()
    }
    child = parent
    parent = parent.parent
  }
  const name =
    ts.isVariableDeclaration(parent) ||
    ts.isPropertyAssignment(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isParameter(parent) ||
    ts.isBindingElement(parent)
      ? parent.initializer === child
        ? parent.name.getText()
        : undefined
      : ts.isCallExpression(parent) && parent.expression !== child
        ? calledName(parent)
        : undefined
  if (name === undefined) return undefined
  if (ts.isCallExpression(parent)) return TIMED.test(name) ? `${name}()` : undefined
  if (ts.isParameter(parent) || ts.isBindingElement(parent)) return name
  return OPERATIONAL.test(name) ? name : undefined
}

function isAssignment(kind: ts.SyntaxKind): boolean {
  return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment
}

function calledName(call: ts.CallExpression): string {
  const { expression } = call
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : expression.getText()
}

/** Inside an expression that builds a zod schema: `z.int().default(5)`. */
function inSchema(node: ts.Node): boolean {
  for (let current: ts.Node | undefined = node; current !== undefined; current = current.parent) {
    if (!ts.isCallExpression(current)) continue
    let root: ts.Node = current
    while (ts.isCallExpression(root) || ts.isPropertyAccessExpression(root)) root = root.expression
    if (ts.isIdentifier(root) && (root.text === 'z' || /Schema$|^secret$/.test(root.text))) return true
  }
  return false
}

function isType(node: ts.Node): boolean {
  return ts.isLiteralTypeNode(node.parent) || ts.isImportDeclaration(node.parent)
}

/** Product sources: no tests, no suites and stand-ins for tests. */
export function productSources(): string[] {
  const files: string[] = []
  const walk = (folder: string): void => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      if (statSync(path).isDirectory()) {
        if (!['testing', 'standin', 'node_modules', 'dist'].includes(name)) walk(path)
      } else if (name.endsWith('.ts') && !name.endsWith('.test.ts')) files.push(path)
    }
  }
  for (const group of ['packages', 'apps']) {
    for (const name of readdirSync(join(ROOT, group))) walk(join(ROOT, group, name, 'src'))
  }
  return files.map((path) => relative(ROOT, path).replaceAll('\\', '/')).sort()
}

/** Every operational literal of the product. */
export function scanProduct(): OperationalLiteral[] {
  return productSources().flatMap((file) => operationalLiterals(file, readFileSync(join(ROOT, file), 'utf8')))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const item of scanProduct()) console.log(`${item.file}:${item.line} ${item.name} = ${item.text}`)
}
