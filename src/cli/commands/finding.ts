/**
 * Findings of `parentfs doctor`: one fact of the host, the disk or the origin, its judgement, and the remedy.
 */

/** `bad` stops a mount or costs bytes or guests; `note` costs speed or comfort. */
export type Judgement = 'ok' | 'note' | 'bad'

export interface Finding {
  /** As `kernel`, `cache disk`, `origin ranges`. */
  readonly subject: string
  readonly judgement: Judgement
  /** Facts, with figures. */
  readonly found: string
  /** Empty where nothing is to be done. */
  readonly remedy: string
}

export function fine(subject: string, found: string): Finding {
  return { subject, judgement: 'ok', found, remedy: '' }
}

export function note(subject: string, found: string, remedy: string): Finding {
  return { subject, judgement: 'note', found, remedy }
}

export function bad(subject: string, found: string, remedy: string): Finding {
  return { subject, judgement: 'bad', found, remedy }
}
