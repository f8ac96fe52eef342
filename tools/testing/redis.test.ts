import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'

const url = process.env.VARVE_TEST_REDIS_URL

describe.skipIf(url === undefined)('the Redis of the test run', () => {
  it('answers PING', async () => {
    const { hostname, port } = new URL(url!)
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => socket.write('PING\r\n'))
      socket.once('data', (data) => {
        resolve(data.toString())
        socket.destroy()
      })
      socket.once('error', reject)
    })
    expect(answer).toBe('+PONG\r\n')
  })
})
