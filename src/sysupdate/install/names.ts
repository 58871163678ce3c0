/** What names of files begin with that are half written, or not valid yet. */
export const [PARTIAL, PENDING] = ['.sysupdate.partial.', '.sysupdate.pending.']
