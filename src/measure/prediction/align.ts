/** One place in two sequences that are laid side by side: positions in each of them. */
export interface Place {
  readonly expected?: number
  readonly found?: number
}

/** Two sequences, as far as laying them side by side must know them. */
export interface Sides {
  readonly expectedCount: number
  readonly foundCount: number
  /** Whether two are the same in every respect; such pairs at both ends are never looked at again. */
  isSame(expected: number, found: number): boolean
  /** What it costs to put two beside each other, 0 for the same; `Infinity` if that makes no sense. */
  cost(expected: number, found: number): number
  /** What it costs to have one alone. */
  aloneCost(expected: number): number
  /** Whether one stands for several of the others in a row. */
  repeats(expected: number): boolean
}

export interface Alignment {
  readonly places: readonly Place[]
  readonly cost: number
}

/** What may still be spent on pairs to compare: what a hostile log can cost. */
export interface Budget {
  pairs: number
}

/** What one that nothing stands beside costs. */
export const ALONE_COST = 6
/** Each further one beside one that repeats: more than a pair that is the same, less than one alone. */
const REPEATED_COST = 2

const TOGETHER = 0
const EXPECTED_ALONE = 1
const FOUND_ALONE = 2
const REPEATED = 3

/**
 * Lays two sequences side by side with the least cost. Takes the product of their lengths without what is the same at
 * both ends; beyond the budget, sequences of the same length are paired by position, and others not at all.
 */
export function align(sides: Sides, budget: Budget): Alignment {
  const { expectedCount, foundCount } = sides
  const shorter = Math.min(expectedCount, foundCount)
  let start = 0
  while (start < shorter && sides.isSame(start, start)) start++
  let end = 0
  while (end < shorter - start && sides.isSame(expectedCount - 1 - end, foundCount - 1 - end)) end++

  const rows = expectedCount - start - end
  const columns = foundCount - start - end
  const middle =
    rows * columns <= budget.pairs ? byCost(sides, start, rows, columns) : byPosition(sides, start, rows, columns)
  if (rows * columns <= budget.pairs) budget.pairs -= rows * columns
  const pairs = (count: number, first: number, shift: number): Place[] =>
    Array.from({ length: count }, (_, index) => ({ expected: first + index, found: first + index + shift }))
  return {
    places: [...pairs(start, 0, 0), ...middle.places, ...pairs(end, expectedCount - end, foundCount - expectedCount)],
    cost: middle.cost,
  }
}

/** Needleman and Wunsch. */
function byCost(sides: Sides, start: number, rows: number, columns: number): Alignment {
  const width = columns + 1
  const moves = new Uint8Array((rows + 1) * width).fill(FOUND_ALONE, 0, width)
  let above = Float64Array.from({ length: width }, (_, column) => column * ALONE_COST)
  for (let row = 1; row <= rows; row++) {
    const expected = start + row - 1
    const alone = sides.aloneCost(expected)
    const repeats = sides.repeats(expected)
    const current = new Float64Array(width)
    current[0] = at(above, 0) + alone
    moves[row * width] = EXPECTED_ALONE
    for (let column = 1; column < width; column++) {
      const cost = sides.cost(expected, start + column - 1)
      let best = at(above, column - 1) + cost
      let move = TOGETHER
      const repeated = repeats && cost < Infinity ? at(current, column - 1) + REPEATED_COST : Infinity
      if (repeated < best) [best, move] = [repeated, REPEATED]
      // Walking back, what is taken first comes last: of two that stand alone, the expected one is to come first.
      const unexpected = at(current, column - 1) + ALONE_COST
      if (unexpected < best) [best, move] = [unexpected, FOUND_ALONE]
      const missing = at(above, column) + alone
      if (missing < best) [best, move] = [missing, EXPECTED_ALONE]
      current[column] = best
      moves[row * width + column] = move
    }
    above = current
  }
  return { places: walkBack(moves, start, rows, columns), cost: at(above, columns) }
}

function walkBack(moves: Uint8Array, start: number, rows: number, columns: number): Place[] {
  const places: Place[] = []
  let [row, column] = [rows, columns]
  while (row > 0 || column > 0) {
    const [expected, found] = [start + row - 1, start + column - 1]
    const move = moves[row * (columns + 1) + column]
    if (move === EXPECTED_ALONE) places.push({ expected })
    else if (move === FOUND_ALONE) places.push({ found })
    else places.push({ expected, found })
    if (move === TOGETHER || move === EXPECTED_ALONE) row--
    if (move !== EXPECTED_ALONE) column--
  }
  return places.reverse()
}

function byPosition(sides: Sides, start: number, rows: number, columns: number): Alignment {
  const places: Place[] = []
  let cost = 0
  const alone = (place: Place): void => {
    places.push(place)
    cost += place.expected === undefined ? ALONE_COST : sides.aloneCost(place.expected)
  }
  if (rows === columns) {
    for (let position = start; position < start + rows; position++) {
      const together = sides.cost(position, position)
      if (together < Infinity) {
        places.push({ expected: position, found: position })
        cost += together
      } else {
        alone({ expected: position })
        alone({ found: position })
      }
    }
  } else {
    for (let row = 0; row < rows; row++) alone({ expected: start + row })
    for (let column = 0; column < columns; column++) alone({ found: start + column })
  }
  return { places, cost }
}

function at(values: Float64Array, index: number): number {
  return values[index] ?? Infinity
}
