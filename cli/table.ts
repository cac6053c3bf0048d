// Prints the server's Tables as kubectl does: upper-case headings, columns padded with three spaces.

export interface ServerTable {
  kind: 'Table';
  metadata: { resourceVersion?: string; continue?: string };
  columnDefinitions: { name: string; priority: number }[];
  rows: { cells: unknown[]; object?: { metadata?: { name?: string; namespace?: string } } }[];
}

export interface PrintOptions {
  wide: boolean;
  withNamespace: boolean;
  headings: boolean;
}

export function tableLines(table: ServerTable, options: PrintOptions): string[] {
  const shown = table.columnDefinitions.flatMap((column, index) =>
    options.wide || column.priority === 0 ? [index] : [],
  );
  const rows: string[][] = [];
  if (options.headings) {
    const heads = shown.map((index) => (table.columnDefinitions[index]?.name ?? '').toUpperCase());
    rows.push(options.withNamespace ? ['NAMESPACE', ...heads] : heads);
  }
  for (const row of table.rows) {
    const cells = shown.map((index) => cellText(row.cells[index]));
    rows.push(options.withNamespace ? [row.object?.metadata?.namespace ?? '', ...cells] : cells);
  }
  return align(rows);
}

/** Null is printed as kubectl prints it; line breaks would break the table. */
function cellText(cell: unknown): string {
  if (cell === null || cell === undefined) return '<none>';
  return String(cell).replaceAll('\n', '\\n');
}

export function align(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd((widths[i] as number) + 3)))
      .join('')
      .trimEnd(),
  );
}
