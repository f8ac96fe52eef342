/** What makes two items the same story told twice. */
export interface DuplicateTraits {
  /** The provider's own id: equal ids of one origin are the same item. */
  readonly id: string
  /** Who told it. */
  readonly origin: string
  /** Its headline or text. */
  readonly title: string
  /** When, milliseconds UTC. */
  readonly time: number
}

/** Items that tell the same story. */
export interface DuplicateGroup<Item> {
  /** The first to tell it; what a reader sees when it wants each story once. */
  readonly first: Item
  /** The others, by time. */
  readonly others: readonly { readonly item: Item; readonly kind: 'exact' | 'near' }[]
}

/** How items are compared. */
export interface DuplicateOptions<Item> {
  readonly traits: (item: Item) => DuplicateTraits
  /** Items with the same normalised title are one story when each follows the one before it within this, milliseconds. */
  readonly windowMs: number
}

/**
 * Groups news, sentiment or posts by story, in the order of their first items: exact repeats by origin and id, near
 * ones by normalised title within a window of time. Nothing is dropped: a group of one item has no others, and all
 * groups together hold all items.
 */
export function groupDuplicates<Item>(
  items: Iterable<Item>,
  options: DuplicateOptions<Item>,
): DuplicateGroup<Item>[] {
  const sorted = [...items]
    .map((item) => ({ item, traits: options.traits(item) }))
    .sort((a, b) => a.traits.time - b.traits.time || compare(origin(a.traits), origin(b.traits)))
  interface Group {
    readonly first: Item
    readonly others: { readonly item: Item; readonly kind: 'exact' | 'near' }[]
    lastTime: number
  }
  const groups: Group[] = []
  const byId = new Map<string, Group>()
  const byTitle = new Map<string, Group>()
  for (const { item, traits } of sorted) {
    const id = origin(traits)
    const title = normalizeTitle(traits.title)
    const exact = byId.get(id)
    const named = title === '' ? undefined : byTitle.get(title)
    const near = named !== undefined && traits.time - named.lastTime <= options.windowMs ? named : undefined
    let group = exact ?? near
    if (group === undefined) {
      group = { first: item, others: [], lastTime: traits.time }
      groups.push(group)
    } else {
      group.others.push({ item, kind: exact === undefined ? 'near' : 'exact' })
      group.lastTime = traits.time
    }
    byId.set(id, group)
    if (title !== '') byTitle.set(title, group)
  }
  return groups.map(({ first, others }) => ({ first, others }))
}

/**
 * A title by its words alone: without accents, case, punctuation and spacing, so that providers' own spellings of one
 * headline meet. Figures keep their point: 1.5 and 15 are different news.
 */
export function normalizeTitle(title: string): string {
  return title
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/['’]/gu, '')
    .replace(/(?<!\p{N})\.|\.(?!\p{N})|[^\p{L}\p{N}.%$€£+-]/gu, ' ')
    .replace(/(?<!\S)[-+]+(?!\S)/gu, ' ')
    .replace(/\s+/gu, ' ')
    .trim()
}

function origin(traits: DuplicateTraits): string {
  return JSON.stringify([traits.origin, traits.id])
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
