// The texts of `Warning` headers: each once, in order, and together no longer than clients can take. Beyond 4096 characters
// each is cut to 256, and what still does not fit is left out (upstream's limits).
const TOTAL = 4 * 1024;
const EACH = 256;

/** Pure. */
export function warningTexts(all: Iterable<string>): string[] {
  const texts = [...all].filter((each) => each !== '');
  const lengthOf = (text: string) => [...text].length;
  const sum = texts.reduce((total, each) => total + lengthOf(each), 0);
  if (sum <= TOTAL) return texts;
  const kept: string[] = [];
  let written = 0;
  for (const text of texts) {
    if (written >= TOTAL) break;
    const cut = [...text].slice(0, EACH).join('');
    written += lengthOf(cut);
    kept.push(cut);
  }
  return kept;
}
