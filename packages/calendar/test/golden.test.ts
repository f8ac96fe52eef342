import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const golden = join(process.env.VARVE_TEST_DATA ?? '', 'calendar/xnys_sessions_2005_2018.csv')
const program = `
  import { createExchangeCalendar } from '@varve/calendar'
  const sessions = createExchangeCalendar('XNYS').sessionsInRange('2005-01-01', '2018-12-31')
  const iso = (at) => new Date(at).toISOString().replace('.000Z', 'Z')
  console.log('session,open_utc,close_utc')
  for (const s of sessions) console.log([s.date, iso(s.openAt), iso(s.closeAt)].join(','))
`

describe.skipIf(!existsSync(golden))("the exchange's own history, 2005 to 2018", () => {
  it.each(['UTC', 'America/New_York', 'Asia/Tokyo'])('has no difference in a process in %s', (TZ) => {
    const printed = execFileSync(
      process.execPath,
      ['--conditions=@varve/source', '--input-type=module', '-e', program],
      { env: { ...process.env, TZ }, cwd: join(import.meta.dirname, '..'), encoding: 'utf8' },
    )
    const expected = readFileSync(golden, 'utf8').trim().split(/\r?\n/)
    expect(expected).toHaveLength(3524)
    expect(printed.trim().split('\n')).toEqual(expected)
  })
})
