#!/usr/bin/env node
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `varve needs Node 22.18 or later; this is ${process.versions.node} (in the workspace, start it with npx varve)`,
  )
  process.exit(1)
}
const { enableCompileCache } = await import('node:module')
enableCompileCache()
await import('../dist/main.js')
