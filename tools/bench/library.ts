/** Imports a peer. Peers are installed on demand and bring no types that the workspace knows. */
export async function library<Exports>(name: string): Promise<Exports> {
  return (await import(name)) as Exports
}

/** Whether a peer is installed here. */
export async function hasLibrary(name: string): Promise<boolean> {
  return library(name).then(
    () => true,
    () => false,
  )
}
