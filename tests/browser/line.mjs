// A line to a server that can be cut: who asks meanwhile finds nobody there.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Line {
    #sockets = new Set();
    #server;
    #port = 0;

    /** A line to the server at `url`. */
    static async to(url) {
        const line = new Line();
        line.#server = createServer((near) => {
            const far = connect(Number(url.port), url.hostname);
            for (const [one, other] of [
                [near, far],
                [far, near],
            ]) {
                line.#sockets.add(one);
                one.pipe(other);
                one.on("error", () => other.destroy());
                one.on("close", () => line.#sockets.delete(one));
            }
        });
        await line.mend();
        return line;
    }

    get origin() {
        return `http://127.0.0.1:${this.#port}`;
    }

    async cut() {
        const closed = once(this.#server, "close");
        this.#server.close();
        for (const socket of this.#sockets) socket.destroy();
        await closed;
    }

    async mend() {
        this.#server.listen(this.#port, "127.0.0.1");
        await once(this.#server, "listening");
        this.#port = this.#server.address().port;
    }

    async close() {
        if (this.#server.listening) await this.cut();
    }
}
