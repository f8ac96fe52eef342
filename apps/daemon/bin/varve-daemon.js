#!/usr/bin/env node
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`varve-daemon needs Node 22.18 or later; this is ${process.versions.node}`)
  process.exit(1)
}
await import('../dist/main.js')
