/**
 * Makes foreign text (names of images, validators, answers of servers) printable: a terminal obeys control characters,
 * and invisible ones make a text look like another. They are shown by their escapes instead.
 */

// Of Unicode's categories: control and format characters (those that turn the direction of text, too), ends of lines
// and paragraphs.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/**
 * `a\u001b[2J` with the six characters that spell the escape in place of the one; ends of lines as well: the result is
 * one line.
 */
export function printable(text: string): string {
  return text.replace(unprintable, escaped)
}

/** The same, and ends of lines stay: for stack traces. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`
}
