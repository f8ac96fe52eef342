import { VarveError } from '@varve/core'

/** The part of a component that decides its place. */
export interface Planned {
  readonly dependsOn?: readonly string[]
}

/**
 * Names of the components to start, each after everything it depends on.
 *
 * @param wanted - names to start with all they depend on; every component when left out
 * @throws `CONTEXT_COMPONENT_MISSING`, `CONTEXT_DEPENDENCY_CYCLE`
 */
export function planOrder(
  components: Readonly<Record<string, Planned>>,
  wanted: readonly string[] = Object.keys(components),
): string[] {
  const known = new Map(Object.entries(components))
  const missing: { readonly name: string; readonly wantedBy: string }[] = []
  const order: string[] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (name: string, wantedBy: string): void => {
    if (done.has(name)) return
    const component = known.get(name)
    if (component === undefined) {
      missing.push({ name, wantedBy })
      return
    }
    const loop = path.indexOf(name)
    if (loop >= 0) throw cycle([...path.slice(loop), name])
    path.push(name)
    for (const dependency of component.dependsOn ?? []) visit(dependency, name)
    path.pop()
    done.add(name)
    order.push(name)
  }
  for (const name of wanted) visit(name, 'the profile')
  if (missing.length > 0) {
    const list = missing.map(({ name, wantedBy }) => `"${name}" (wanted by ${wantedBy})`).join(', ')
    throw new VarveError(
      `components that are not there: ${list}; add them, or take them out of the profile or of dependsOn (known: ${[...known.keys()].join(', ') || 'none'})`,
      { code: 'CONTEXT_COMPONENT_MISSING', details: { missing } },
    )
  }
  return order
}

function cycle(names: readonly string[]): VarveError {
  return new VarveError(`components depend on each other in a circle: ${names.join(' → ')}; break it`, {
    code: 'CONTEXT_DEPENDENCY_CYCLE',
    details: { cycle: names },
  })
}
