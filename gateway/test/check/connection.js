// SPDX-License-Identifier: PostgreSQL
// connection.js: one WebSocket to the gateway: calls with answers, pushes to a listener, everything recorded.
//
// A call ends in one of three ways: its result; a Refusal, which is an answer of the gateway's (code, reason); or Lost,
// when nobody knows what became of it. `isOpen(error)` tells whether trying again may help.

import WebSocket from 'ws';

const CALL_TIMEOUT = 25000; // ms; a stopped worker goes on after 10 s at most

export class Refusal extends Error
{
	constructor(method, { code, message, data })
	{
		super(`${method}: ${code} ${message} ${data?.reason ?? ''}`);
		this.code = code;
		this.reason = data?.reason;
	}
}

export class Lost extends Error {}

// Whether the same call may succeed, or tell its outcome, when it is made again.
export const isOpen = error => error instanceof Lost || error instanceof Refusal && (error.code >= 500 || error.code === 429);

export class Connection
{
	constructor(url, name, record, hear)
	{
		Object.assign(this, { name, record, hear });
		this.waiting = new Map(); // id → {resolve, reject, method, timer}
		this.nextId = 1;
		this.ws = new WebSocket(url, ['chat.v1'], { perMessageDeflate: false, handshakeTimeout: 15000 });
		this.ws.on('message', data => this.#receive(JSON.parse(data)));
		this.opened = new Promise((resolve, reject) => {
			this.ws.once('open', resolve);
			this.ws.once('close', () => reject(new Lost('no handshake')));
		});
		this.opened.catch(() => {});
		this.ws.on('error', () => {});
		this.closed = new Promise(resolve => this.ws.once('close', (code, reason) => this.#end(code, reason.toString(), resolve)));
	}

	#end(code, reason, resolve)
	{
		this.ended = `${code} ${reason}`;
		this.record.write(this.name, 'closed', this.ended);
		for (const { reject, method, timer } of this.waiting.values())
		{
			clearTimeout(timer);
			reject(new Lost(`${method}: the socket closed`));
		}
		this.waiting.clear();
		resolve();
	}

	#receive(frame)
	{
		const call = this.waiting.get(frame.id);
		if (call)
		{
			this.waiting.delete(frame.id);
			clearTimeout(call.timer);
			this.record.count('answers');
			this.record.write(this.name, `answer ${call.method}`, frame.error ?? (call.loud ? frame.result : undefined));
			if (frame.error)
				call.reject(new Refusal(call.method, frame.error));
			else
				call.resolve(frame.result);
			return;
		}
		this.record.count('pushes');
		this.record.write(this.name, frame.method ?? 'frame', frame.params ?? frame);
		this.hear(frame.method, frame.params, this);
	}

	// loud: its result is worth recording (that of a long list is not)
	call(method, params = {}, loud = !/^(list|get)_|^sync$/.test(method))
	{
		if (this.ended)
			return Promise.reject(new Lost(`${method}: the socket was closed`));
		const id = this.nextId++;
		this.record.count('calls');
		this.record.write(this.name, `call ${method}`, params.token ? { ...params, token: undefined } : params);
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => this.terminate(), CALL_TIMEOUT);
			this.waiting.set(id, { resolve, reject, method, timer, loud });
			this.ws.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
		});
	}

	// Without a word to the other side, as a dead network does it.
	terminate() { this.ws.terminate(); }
}
