// ESLint rule: what is put into the text of an SQL statement is fixed in the source. Values go through parameters;
// a name that has to be composed goes through sqlName(), a number through sqlNumber(), which check it.

const SQL =
  /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|DROP|ALTER|COPY|LOCK TABLE|SET LOCAL|WHERE|UNION ALL|VALUES|TRUNCATE|LISTEN|NOTIFY|FROM)\b/
/** Functions that check or quote what they return. */
const CHECKED = new Set([
  'sqlName',
  'sqlNumber',
  'timeLiteral',
  'idArrayLiteral',
  'quoteName',
  'escapeIdentifier',
])
const CONSTANT = /^[A-Z][A-Z0-9_]*$/

/** @type {import('eslint').Rule.RuleModule} */
export const sqlByParameters = {
  meta: {
    type: 'problem',
    docs: { description: 'SQL takes values by parameters only' },
    schema: [],
    messages: {
      composed:
        'this SQL is put together from "{{ text }}", which is not fixed in the source; pass values as parameters, names through sqlName()',
    },
  },
  create(context) {
    const { sourceCode } = context
    const report = (node) =>
      context.report({ node, messageId: 'composed', data: { text: sourceCode.getText(node) } })

    const variableOf = (node) => {
      for (let scope = sourceCode.getScope(node); scope !== null; scope = scope.upper) {
        const found = scope.set.get(node.name)
        if (found !== undefined) return found
      }
      return undefined
    }

    /** @param known names of parameters that are fixed at the call looked at */
    const isFixed = (node, known = new Set(), depth = 0) => {
      if (depth > 12 || node === null || node === undefined) return false
      const all = (nodes) => nodes.every((item) => isFixed(item, known, depth + 1))
      switch (node.type) {
        case 'Literal':
          return true
        case 'TemplateLiteral':
          return all(node.expressions)
        case 'TSAsExpression':
        case 'TSSatisfiesExpression':
        case 'TSNonNullExpression':
        case 'UnaryExpression':
          return isFixed(node.expression ?? node.argument, known, depth + 1)
        case 'ConditionalExpression':
          return all([node.consequent, node.alternate])
        case 'LogicalExpression':
        case 'BinaryExpression':
          return all([node.left, node.right])
        case 'ArrayExpression':
          return all(node.elements)
        case 'MemberExpression':
          if (!node.computed && node.property.name === 'length') return true
          return isFixed(node.object, known, depth + 1)
        case 'Identifier':
          return (
            CONSTANT.test(node.name) ||
            known.has(node.name) ||
            isFixedVariable(variableOf(node), known, depth)
          )
        case 'CallExpression':
          return isFixedCall(node, known, depth)
        case 'FunctionDeclaration':
        case 'FunctionExpression':
        case 'ArrowFunctionExpression':
          return true
        default:
          return false
      }
    }

    const isFixedVariable = (variable, known, depth) => {
      const definition = variable?.defs[0]
      if (definition?.type !== 'Variable') return false
      const { init } = definition.node
      if (init === null) return false
      // A list that is filled later: what is pushed is looked at where it is pushed.
      return isFixed(init, known, depth + 1)
    }

    const isFixedCall = (node, known, depth) => {
      const { callee } = node
      if (callee.type === 'MemberExpression') {
        if (callee.object.type === 'Identifier' && callee.object.name === 'Math') return true
        if (CHECKED.has(callee.property.name)) return true
        // The place a value takes among the parameters: `$${params.push(value)}`.
        if (callee.property.name === 'push' && /^(params|values)$/.test(callee.object.name)) return true
        if (callee.property.name === 'concat')
          return (
            isFixed(callee.object, known, depth + 1) &&
            node.arguments.every((item) => isFixed(item, known, depth + 1))
          )
        if (['map', 'join', 'flatMap', 'filter', 'replaceAll'].includes(callee.property.name))
          return isFixed(callee.object, known, depth + 1)
        return false
      }
      if (callee.type !== 'Identifier') return false
      if (CHECKED.has(callee.name)) return true
      const definition = variableOf(callee)?.defs[0]
      const made =
        definition?.type === 'FunctionName'
          ? definition.node
          : definition?.type === 'Variable'
            ? definition.node.init
            : undefined
      if (made === undefined || made === null || made.params === undefined) return false
      const inside = new Set(known)
      made.params.forEach((parameter, index) => {
        if (parameter.type === 'Identifier' && isFixed(node.arguments[index], known, depth + 1))
          inside.add(parameter.name)
      })
      return returnsOf(made).every((value) => isFixed(value, inside, depth + 1))
    }

    return {
      TemplateLiteral(node) {
        if (node.expressions.length === 0 || isMessage(node)) return
        if (!SQL.test(node.quasis.map((part) => part.value.raw).join(' '))) return
        // Inside a function that makes fragments its parameters are judged at its calls.
        const own = parametersAround(node)
        for (const expression of node.expressions) if (!isFixed(expression, own)) report(expression)
      },
      'CallExpression[callee.property.name=/^(query|exec|copyIn|copyOut)$/]'(node) {
        const [text] = node.arguments
        if (text?.type === 'BinaryExpression' && !isFixed(text)) report(text)
      },
    }

    /** The text of an error or a log line may name what it likes. */
    function isMessage(node) {
      const { parent } = node
      return (
        (parent.type === 'Property' && parent.key.name === 'message') ||
        (parent.type === 'NewExpression' && /Error$/.test(parent.callee.name ?? '')) ||
        (parent.type === 'CallExpression' && /Error$/.test(parent.callee.name ?? ''))
      )
    }

    /** Parameters of a function whose body is the fragment itself: `(alias) => \`${alias}.open\``. */
    function parametersAround(node) {
      const parent = node.parent
      return parent.type === 'ArrowFunctionExpression' && parent.body === node
        ? new Set(parent.params.filter((item) => item.type === 'Identifier').map((item) => item.name))
        : new Set()
    }
  },
}

/** What a function returns. */
function returnsOf(made) {
  if (made.body.type !== 'BlockStatement') return [made.body]
  const found = []
  const walk = (node) => {
    if (node === null || typeof node !== 'object') return
    if (Array.isArray(node)) return node.forEach(walk)
    if (typeof node.type !== 'string') return
    if (node.type === 'ReturnStatement') found.push(node.argument)
    else if (!/Function/.test(node.type))
      for (const [key, value] of Object.entries(node)) if (key !== 'parent') walk(value)
  }
  walk(made.body)
  return found
}
