/** A guest's words must not be able to move the cursor, or worse; nor to turn the direction of the line around. */
export function printable(text: string): string {
  // Nearly all text is of this kind, and the other way takes ten times as long.
  if (/^[\x20-\x7e]*$/.test(text)) return text
  return text.replaceAll('\t', '  ').replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, '\uFFFD')
}
