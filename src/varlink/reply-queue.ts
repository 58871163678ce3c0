import type { ReplyMessage } from './message.ts'

/** The replies of one call, handed from who reads to who takes them: one at a time, so that no more are kept. */
export class ReplyQueue {
  readonly #onEnd: () => void
  #reply: ReplyMessage | undefined
  #failure: Error | undefined
  #taker: PromiseWithResolvers<void> | undefined
  #giver: PromiseWithResolvers<void> | undefined

  /** @param onEnd called with the last reply or the failure */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  /** Resolves when there is room for another: at once behind the last one. */
  async put(reply: ReplyMessage): Promise<void> {
    if (this.#failure !== undefined) return
    this.#reply = reply
    this.#taker?.resolve()
    if (reply.continues) {
      this.#giver = Promise.withResolvers<void>()
      await this.#giver.promise
    } else this.#onEnd()
  }

  async take(): Promise<ReplyMessage> {
    if (this.#reply === undefined && this.#failure === undefined) {
      this.#taker = Promise.withResolvers<void>()
      await this.#taker.promise
    }
    const reply = this.#reply
    this.#reply = undefined
    if (reply === undefined) throw this.#failure ?? new Error('There are no more replies')
    this.#giver?.resolve()
    return reply
  }

  fail(reason: Error): void {
    this.#failure ??= reason
    this.#taker?.resolve()
    this.#giver?.resolve()
    this.#onEnd()
  }
}
