/** In quotes and on one line. Whoever prints it takes care of everything else that a hostile record may have. */
export function quoted(text: string): string {
  return `"${text.replaceAll('\n', '\\n').replaceAll('\t', '\\t')}"`
}
