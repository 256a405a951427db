//! A headless Chromium, driven over its DevTools pipe: messages of JSON that end in a zero byte.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

/// The browser that `python/get_chromium.sh` fetches, or a printed reason why a test is skipped.
pub fn chromium(test: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.mcnn");
    let folder = std::env::var_os("MCNN_HOME").map_or(here, PathBuf::from).join("chromium");
    if folder.join("version").is_file() {
        return folder.canonicalize().ok();
    }
    super::common::skipped(test, "no browser; python/get_chromium.sh fetches one");
    None
}

/// One page in a browser of its own.
pub struct Page {
    browser: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Value,
    sent: u64,
    /// Addresses that were asked for.
    pub fetched: Vec<String>,
    /// Errors and warnings: thrown, logged by the page, or logged about it.
    pub complaints: Vec<String>,
}

impl Page {
    /// Opens a file and waits until it is loaded.
    pub fn open(chromium: &Path, scratch: &Path, file: &Path) -> Self {
        // The browser reads commands from its descriptor 3 and answers on 4.
        let mut browser = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#])
            .arg(chromium.join("chromium"))
            .args(["--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--remote-debugging-pipe", "--window-size=1200,900"])
            .arg(format!("--user-data-dir={}", scratch.join("browser").display()))
            .arg("about:blank")
            .env("HOME", scratch)
            .env("LD_LIBRARY_PATH", chromium.join("lib"))
            .env("FONTCONFIG_FILE", chromium.join("fonts.conf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(scratch.join("browser.log")).unwrap())
            .spawn()
            .unwrap();
        let (to, from) = (browser.stdin.take().unwrap(), BufReader::new(browser.stdout.take().unwrap()));
        let mut page = Self {
            browser,
            to,
            from,
            session: Value::Null,
            sent: 0,
            fetched: Vec::new(),
            complaints: Vec::new(),
        };
        let targets = page.ask("Target.getTargets", json!({}));
        let target = targets["targetInfos"].as_array().unwrap().iter().find(|t| t["type"] == "page").unwrap();
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        page.session = page.ask("Target.attachToTarget", attach)["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.ask(&format!("{domain}.enable"), json!({}));
        }
        page.ask("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        while page.message()["method"] != "Page.loadEventFired" {}
        page
    }

    /// Sends a command and waits for its answer.
    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut command = json!({ "id": self.sent, "method": method, "params": params });
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        self.to.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let message = self.message();
            if message["id"] == self.sent {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    /// The next message, having noted what it says.
    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended; its messages are in browser.log");
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.fetched.push(params["request"]["url"].as_str().unwrap().to_owned());
            }
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded") => {
                self.complaints.push(params.to_string());
            }
            _ => {}
        }
        message
    }

    /// The value of an expression of JavaScript; of a promise, what it comes to.
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// The text of an element.
    pub fn text(&mut self, id: &str) -> String {
        self.value(&format!("document.getElementById({id:?}).textContent")).as_str().unwrap().to_owned()
    }

    /// Presses and releases the mouse at a point of the window.
    pub fn click(&mut self, x: f64, y: f64) {
        for kind in ["mousePressed", "mouseReleased"] {
            let at = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", at);
        }
    }

    /// Presses and releases a key that writes nothing.
    pub fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            self.ask("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "code": key }));
        }
    }

    /// Scrolls an element into view and says where it is: left, top, width, height.
    pub fn place(&mut self, selector: &str) -> [f64; 4] {
        let find = format!(
            "(() => {{ const e = document.querySelector({selector:?}); e.scrollIntoView({{ block: 'center', behavior: 'instant' }}); const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; }})()"
        );
        let place = self.value(&find);
        [0, 1, 2, 3].map(|i| place[i].as_f64().unwrap())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
