import type { Reporter, TestModule } from 'vitest/node'

/** Ends a run with the names of skipped tests and one line of totals. */
export default class ClosingReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    let passed = 0
    let failed = 0
    const skipped: string[] = []
    for (const module of modules) {
      if (module.errors().length > 0) failed++
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === 'passed') passed++
        else if (state === 'failed') failed++
        else skipped.push(test.fullName)
      }
    }
    for (const name of skipped) console.log(`skipped: ${name}`)
    if (process.env.VARVE_TEST_REDIS_URL === undefined) {
      console.log(
        'no redis-server found; to run the Redis tests: apt-get install redis-server (or brew install redis)',
      )
    }
    if (process.env.VARVE_TEST_DATA === '') {
      console.log(
        'no real market data found; to run its tests set VARVE_TEST_DATA to the folder that holds it',
      )
    }
    console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`)
  }
}
