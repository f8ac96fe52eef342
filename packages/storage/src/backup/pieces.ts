/** A stream cut into pieces of `bytes`, the last one shorter. */
export async function* inPieces(
  content: AsyncIterable<Uint8Array>,
  bytes: number,
): AsyncGenerator<Uint8Array> {
  let waiting: Uint8Array[] = []
  let length = 0
  for await (const chunk of content) {
    let rest = chunk
    while (length + rest.length >= bytes) {
      const whole = Buffer.concat([...waiting, rest.subarray(0, bytes - length)])
      rest = rest.subarray(whole.length - length)
      waiting = []
      length = 0
      yield whole
    }
    if (rest.length > 0) {
      waiting.push(rest)
      length += rest.length
    }
  }
  if (length > 0) yield Buffer.concat(waiting)
}
