import { packageBuild } from '../../tools/build/tsup.base.ts'

// commander is bundled and each command is a chunk of its own, so that --help loads next to nothing.
export default packageBuild({ main: 'src/main.ts' }, { noExternal: ['commander'] })
