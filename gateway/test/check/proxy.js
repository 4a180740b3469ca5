// SPDX-License-Identifier: PostgreSQL
// proxy.js: a WebSocket proxy that lies: it stands between one device and the gateway and plants a bug, so that it can be
// seen that the checker finds it. Each bug is as hard to see as it can be made: what a client could tell by itself, such
// as a broken chain, is repaired.
//
//	  lost			a message does not come, and the chain and list_events leave no gap
//	  repeated		a message comes again as a new one, with an id of its own
//	  reordered		two events of a chat change places
//	  gap			an event does not come, and list_events does not have it
//	  cursor_back	a cursor is lower than the one before
//	  stale_state	an old draft comes with a version above all others

import { once } from 'node:events';
import WebSocket, { WebSocketServer } from 'ws';

export const BUGS = ['lost', 'repeated', 'reordered', 'gap', 'cursor_back', 'stale_state'];

const event = params => ({ jsonrpc: '2.0', method: 'event', params });
const plus = (id, n) => String(BigInt(id) + n);

export class Proxy
{
	static async start(bug, upstream)
	{
		const proxy = new Proxy();
		Object.assign(proxy, { bug, upstream, asked: new Set(), links: new Map(), planted: null });
		proxy.server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'chat.v1', perMessageDeflate: false });
		await once(proxy.server, 'listening');
		proxy.server.on('connection', client => proxy.#join(client));
		return proxy;
	}

	get url() { return `ws://127.0.0.1:${this.server.address().port}/ws`; }

	// From now on, in this chat.
	arm(chat_id)
	{
		this.chat_id = chat_id;
	}

	stop()
	{
		for (const client of this.server.clients)
			client.terminate();
		this.server.close();
	}

	#join(client)
	{
		const gateway = new WebSocket(this.upstream(), ['chat.v1'], { perMessageDeflate: false });
		const early = [];
		client.on('message', data => {
			this.#up(JSON.parse(data));
			if (gateway.readyState === WebSocket.OPEN)
				gateway.send(data.toString());
			else
				early.push(data.toString());
		});
		gateway.on('open', () => early.splice(0).forEach(data => gateway.send(data)));
		gateway.on('message', data => {
			for (const frame of this.#down(JSON.parse(data)))
				client.send(JSON.stringify(frame));
		});
		for (const side of [client, gateway])
			side.on('error', () => {}).on('close', () => {
				client.terminate();
				gateway.terminate();
			});
	}

	#up({ id, method })
	{
		if (method === 'list_events')
			this.asked.add(id);
	}

	// The frames that the client gets in place of this one.
	#down(frame)
	{
		const { method, params, result } = frame;
		if (result?.cursor && method === undefined && 'session_id' in result)
			this.cursor = result.cursor;
		if (this.asked.delete(frame.id))
			return [this.#doctor(frame)];
		if (this.bug === 'cursor_back' && this.chat_id && !this.planted && this.cursor)
		{
			this.planted = { cursor: plus(this.cursor, -1n << 30n) };
			return [frame, { jsonrpc: '2.0', method: 'cursor', params: this.planted }];
		}
		if (method !== 'event' || !this.chat_id)
			return [frame];
		if (this.bug === 'stale_state')
			return params.type === 'draft_changed' ? this.#forge(frame, params) : [frame];
		if (!params.prev_id || params.chat_id !== this.chat_id)
			return [frame];
		const relinked = { ...params, prev_id: this.links.get(params.prev_id) ?? params.prev_id };
		return this.#plant(event(relinked), relinked);
	}

	// An event of the chat. links: what follows an id says that it follows another.
	#plant(frame, params)
	{
		const { bug, planted } = this;
		if (bug === 'reordered' && planted && !planted.done)
		{
			const { first } = planted;
			planted.done = true;
			this.links.set(params.id, first.id);
			return [event({ ...params, prev_id: first.prev_id }), event({ ...first, prev_id: params.id })];
		}
		if (planted || params.type !== 'message')
			return [frame];
		this.planted = { id: params.id, prev_id: params.prev_id };
		switch (bug)
		{
			case 'lost':
				this.links.set(params.id, params.prev_id);
				return [];
			case 'gap':
				return [];
			case 'reordered':
				this.planted.first = params;
				return [];
			case 'repeated':
			{
				const id = plus(params.id, 1n);
				this.links.set(params.id, id);
				return [frame, event({ ...params, id, prev_id: params.id, message: { ...params.message, id } })];
			}
			default:
				return [frame];
		}
	}

	// An answer of list_events without what was dropped.
	#doctor(frame)
	{
		if (!frame.result || !['lost', 'gap'].includes(this.bug) || !this.planted)
			return frame;
		const rows = frame.result.rows.filter(row => row.event.id !== this.planted.id)
			.map(row => ({ ...row, event: { ...row.event, prev_id: this.links.get(row.event.prev_id) ?? row.event.prev_id } }));
		return { ...frame, result: { ...frame.result, rows } };
	}

	// Of the two last drafts of a chat the older one, as if it were the newest of all.
	#forge(frame, draft)
	{
		const before = this.links.get(draft.chat_id);
		this.links.set(draft.chat_id, draft);
		if (this.planted || !before?.body || before.body === draft.body)
			return [frame];
		this.planted = { ...before, version: plus(draft.version, 1n << 55n) };
		return [frame, event(this.planted)];
	}
}
