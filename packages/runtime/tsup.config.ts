import { packageBuild } from '../../tools/build/tsup.base.ts'

export default packageBuild(
  {
    index: 'src/index.ts',
    'redis/index': 'src/redis/index.ts',
    'testing/index': 'src/testing/index.ts',
  },
  { external: ['vitest'] },
)
