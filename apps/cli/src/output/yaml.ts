export { toYaml } from '@varve/application'
