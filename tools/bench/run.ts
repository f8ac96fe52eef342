import { config } from './benches/config.ts'
import { flow } from './benches/flow.ts'
import { storage } from './benches/storage.ts'
import { storage50m } from './benches/storage50m.ts'
import type { Bench, BenchCase } from './harness.ts'

const benches: Readonly<Record<string, Bench>> = { storage, 'storage-50m': storage50m, flow, config }

const names = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const flags = new Set(process.argv.slice(2).filter((word) => word.startsWith('--')))
const unknown = [
  ...names.filter((name) => !Object.hasOwn(benches, name)),
  ...[...flags].filter((flag) => flag !== '--quick' && flag !== '--json'),
]
if (names.length === 0 || unknown.length > 0) {
  if (unknown.length > 0) console.error(`unknown: ${unknown.join(', ')}`)
  console.error(
    `npm run bench -- NAME… [--quick] [--json], where NAME is one of ${Object.keys(benches).join(', ')}`,
  )
  process.exit(2)
}

const cases: BenchCase[] = []
for (const name of names) {
  const result = await benches[name]!({ quick: flags.has('--quick') })
  cases.push(...result.cases)
  for (const skipped of result.skipped) console.error(`skipped: ${skipped}`)
}
if (flags.has('--json')) console.log(JSON.stringify(cases))
else {
  for (const { peer, peerName, ratio, target, met, ...rest } of cases) {
    const beside = peer === null ? `bound ${target}` : `${peerName} ${peer}, ratio ${ratio}, target ${target}`
    console.log(`${met ? 'met   ' : 'MISSED'} ${rest.case}: ${rest.ours} ${rest.unit} (${beside})`)
  }
}
