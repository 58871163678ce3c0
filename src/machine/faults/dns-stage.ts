import { checkDnsFailure, type DnsFailure, dnsAnswer, dnsQuestion } from './dns-answer.ts'
import type { LineStage } from './impairment.ts'
import { portsOf, udpOf } from './packet.ts'

const DNS_PORT = 53

export interface DnsFaultOptions {
  /** Names that it befalls, with everything below them; all when absent. */
  readonly names?: readonly string[]
}

/**
 * Answers a machine's DNS queries in place of its name server. A query over TCP gets no answer at all: who asks that way
 * would see the truth.
 */
export function failDns(failure: DnsFailure, { names }: DnsFaultOptions = {}): LineStage {
  checkDnsFailure(failure)
  const suffixes = names?.map((name) => name.toLowerCase().replace(/\.$/, ''))
  return (packet, direction, reply) => {
    const pass = [{ packet, afterMs: 0 }]
    if (direction !== 'from-machine') return pass
    const ports = portsOf(packet.frame)
    if (ports?.destination !== DNS_PORT) return pass
    if (ports.protocol === 'tcp') return suffixes === undefined ? [] : pass
    const datagram = udpOf(packet)
    const question = datagram === undefined ? undefined : dnsQuestion(datagram.payload)
    if (datagram === undefined || question === undefined) return pass
    const { name } = question
    if (suffixes?.every((suffix) => name !== suffix && !name.endsWith(`.${suffix}`)) === true) return pass
    const answer = dnsAnswer(datagram.payload, question, failure)
    if (answer !== undefined) reply(datagram.reply(answer))
    return []
  }
}
