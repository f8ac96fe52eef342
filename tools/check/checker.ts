/** Collects outcomes and ends with the line `N passed, N failed, N skipped`. */
export interface Checker {
  /** `found` is shown where the check fails. */
  readonly check: (name: string, holds: boolean, found?: string) => void
  readonly skip: (reason: string) => void
  /** Prints the closing line and sets the exit code. */
  readonly finish: () => void
}

export function checker(): Checker {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  return {
    check(name, holds, found = '') {
      counts[holds ? 'passed' : 'failed']++
      console.log(`${holds ? 'ok    ' : 'FAILED'} ${name}${holds || found === '' ? '' : `: ${found}`}`)
    },
    skip(reason) {
      counts.skipped++
      console.log(`skipped: ${reason}`)
    },
    finish() {
      console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
      if (counts.failed > 0) process.exitCode = 1
    },
  }
}
