/** One JSON document on standard output; bigints as strings. */
export function printJson(value: unknown): void {
  process.stdout.write(
    `${JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item))}\n`,
  )
}

export function print(line = ''): void {
  process.stdout.write(`${line}\n`)
}

export function count(value: number): string {
  return value.toLocaleString('en-US')
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`
  if (value < 1024 ** 2) return `${(value / 1024).toFixed(1)} kB`
  if (value < 1024 ** 3) return `${(value / 1024 ** 2).toFixed(1)} MB`
  return `${(value / 1024 ** 3).toFixed(2)} GB`
}

/** Columns aligned with two spaces between them; numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths: number[] = []
  const text = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? count(cell) : cell)))
  for (const row of text)
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)))
  return text.map((row, index) =>
    row
      .map((cell, column) =>
        typeof rows[index]![column] === 'number'
          ? cell.padStart(widths[column]!)
          : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  )
}
