import { packageBuild } from '../../tools/build/tsup.base.ts'
import { writeEmptyDatabase } from './src/hot/emptyDatabase.ts'

export default packageBuild(
  { index: 'src/index.ts', 'testing/index': 'src/testing/index.ts', pgliteWorker: 'src/hot/pgliteWorker.ts' },
  {
    external: ['vitest'],
    async onSuccess() {
      await writeEmptyDatabase('dist')
    },
  },
)
