/**
 * A plan in the one grammar may end in a merger, as in rlt:tau=0.1+tome:r=8; commands and fields have the two apart.
 */

let names = new Set();

/** Tell which names are mergers': `specs` is every merger in the grammar. */
export function knowMergers(specs) {
  names = new Set(specs.map(nameOf));
}

const nameOf = (part) => part.split(":")[0].trim();

/** {selectors, merger}: a merger alone is given every token; merger "" where there is none. */
export function apart(way) {
  const parts = way.split("+");
  if (!names.has(nameOf(parts.at(-1)))) return { selectors: way, merger: "" };
  return { selectors: parts.slice(0, -1).join("+") || "everything", merger: parts.at(-1) };
}

/** The inverse of `apart`. */
export function together(selectors, merger) {
  if (!merger) return selectors;
  return selectors === "everything" ? merger : `${selectors}+${merger}`;
}
