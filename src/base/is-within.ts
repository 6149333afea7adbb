/** Paths in a directory, by their names alone: both are absolute, without links and dots. */

/** Is it the directory itself, or below it? */
export function isWithin(path: string, directory: string): boolean {
  return `${path}/`.startsWith(directory === '/' ? '/' : `${directory}/`)
}
