import { packageBuild } from '../../tools/build/tsup.base.ts'
import { writeEmptyDatabase } from './src/hot/emptyDatabase.ts'

export default packageBuild(
  {
    index: 'src/index.ts',
    'duckdb/index': 'src/duckdb/index.ts',
    's3/index': 'src/s3/index.ts',
    'testing/index': 'src/testing/index.ts',
    pgliteWorker: 'src/hot/pgliteWorker.ts',
  },
  {
    external: ['vitest', '@aws-sdk/client-s3', '@duckdb/node-api'],
    async onSuccess() {
      await writeEmptyDatabase('dist')
    },
  },
)
