import { packageBuild } from '../../tools/build/tsup.base.ts'

export default packageBuild({ main: 'src/main.ts' })
