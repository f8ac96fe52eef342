import { configHistory } from '../src/live/configHistory.ts'

/** Changes the folder given and kills itself before the n-th operation on the disk. */
const [directory, at] = process.argv.slice(2)
let operations = 0
await configHistory({
  directory: directory!,
  observer: () => {
    if (++operations === Number(at)) process.kill(process.pid, 'SIGKILL')
  },
}).change(
  new Map<string, Uint8Array | undefined>([
    ['storage.yaml', Buffer.from('hot: { days: 2 }\n')],
    ['network.json', Buffer.from('{"timeoutMs": 2}')],
    ['network.yaml', undefined],
    ['profiles/prod/storage.yaml', undefined],
  ]),
  { reason: 'new' },
)
