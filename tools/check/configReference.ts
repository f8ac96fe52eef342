// Writes docs/reference/configuration.md from the schemas of the configuration files, so that the page cannot say
// anything else than what is checked at start-up. `node --conditions=@varve/source tools/check/configReference.ts`
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { PURPOSE, SECTIONS, VARIABLES } from '@varve/application'
import { describeSettings, type SettingDescription, variableNameOf } from '@varve/config'

/** The page this writes. */
export const CONFIG_REFERENCE = fileURLToPath(
  new URL('../../docs/reference/configuration.md', import.meta.url),
)

/** The whole page. */
export function configReference(): string {
  const settings = describeSettings(SECTIONS)
  const example = variableNameOf('VARVE_', 'storage.hot.batchSize')
  const parts = [
    '# Configuration',
    '<!-- Written by tools/check/configReference.ts from the schemas; do not edit. -->',
    `One YAML file per purpose, in the folder given by \`--config\` (\`./config\` by default; \`varve init\` writes one with every setting and its meaning in it, commented out at its default). Each setting lives in exactly one place. An unknown file, an unknown key or a value out of range stops the command before anything is opened, and \`varve config check\` reports every fault as \`FILE.yaml:LINE:COLUMN CODE message\`.`,
    `**Precedence**, each over the one before: built-in defaults; \`config/FILE.yaml\`; the profile \`config/profiles/ENVIRONMENT/FILE.yaml\`; environment variables; \`--set KEY=VALUE\`. \`varve config explain KEY\` says which of them won, and what it overrode. Maps are merged, lists are replaced whole.`,
    `**Environment variables** set any setting that is no list entry: \`${example}\` sets \`storage.hot.batchSize\`. Files may refer to some as \`\${NAME}\`; no other is read, and a missing or blank one stops the command. \`NAME_FILE\` names a file that holds the value, as container platforms hand out secrets. Secrets are never printed, and are refused on the command line.`,
    table(
      ['variable', 'meaning', 'sets by itself', 'secret'],
      Object.entries(VARIABLES).map(([name, rule]) => [
        `\`${name}\``,
        rule.description,
        rule.setting === undefined ? '' : `\`${rule.setting}\``,
        rule.secret === true ? 'yes' : '',
      ]),
    ),
    ...Object.entries(PURPOSE).flatMap(([section, purpose]) => [
      `## ${section}.yaml`,
      purpose,
      table(
        ['key', 'type', 'range', 'default', 'meaning'],
        settings.filter((item) => item.section === section && !isOnlyGroup(item)).map(row),
      ),
    ]),
  ]
  return `${parts.join('\n\n')}\n`
}

/** A group that says nothing of its own: its settings follow. */
function isOnlyGroup({ group, description }: SettingDescription): boolean {
  return group && description === ''
}

function row(item: SettingDescription): string[] {
  const { key, section, type, range, required, secret, description, group } = item
  const fallback =
    item.default === undefined
      ? required && !group
        ? 'required'
        : '–'
      : `\`${JSON.stringify(item.default)}\``
  return [
    `\`${key.slice(section.length + 1)}\``,
    group ? 'map' : secret ? 'secret text' : type,
    range,
    fallback,
    description,
  ]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(CONFIG_REFERENCE, configReference())
