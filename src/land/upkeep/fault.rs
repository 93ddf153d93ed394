//! Faults as the report page shows them, in both of its languages.

use crate::land::root::error::LandError;
use crate::land::upkeep::verify::Finding;

/// A fault. Messages of the file system or of a check are quoted unchanged, in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In English.
    pub en: String,
    /// In Japanese.
    pub ja: String,
}

impl Fault {
    pub(super) fn missing(path: &str) -> Fault {
        Fault {
            en: format!("{path}: the published file is missing"),
            ja: format!("{path}: 公開されたファイルがありません"),
        }
    }

    pub(super) fn overdue(day_file: &str, since: &str) -> Fault {
        Fault {
            en: format!("{day_file}: it has been due since {since}, but is not sealed"),
            ja: format!("{day_file}: {since} から封印できますが、まだ封印されていません"),
        }
    }
}

impl From<&Finding> for Fault {
    fn from(Finding { path, what, .. }: &Finding) -> Fault {
        Fault {
            en: format!("{path}: {what}"),
            ja: format!("{path}: 検査で異常が見つかりました（{what}）"),
        }
    }
}

impl From<&LandError> for Fault {
    fn from(error: &LandError) -> Fault {
        let ja = match error {
            LandError::Busy(path) => {
                format!("{path}: 別のプロセスがロックしています。自動で再試行されます")
            }
            LandError::Running(path) => {
                format!("同じコマンドが {path} を使って実行中のため、何もしていません")
            }
            LandError::Time(what) => {
                format!("{what}: 時間が足りず、処理していません。自動で再試行されます")
            }
            LandError::LeaseLost(path) => {
                format!("{path}: 書き込む前にリースが失われました。自動で再試行されます")
            }
            LandError::Io { verb, path, source } => {
                format!("{path}: ファイルシステムがエラーを返しました（{verb}: {source}）")
            }
            LandError::Damage { path, what } => format!(
                "{path}: 破損しています（{what}）。この日への追記は止まり、他の日は続きます。`hiwake verify` で破損箇所を確認し、`hiwake verify --rebuild SOURCE` で修復してください"
            ),
            LandError::Newer { path, what } => format!(
                "{path}: 新しいバージョンの hiwake が書いたファイルです（{what}）。そのバージョンを使ってください"
            ),
            LandError::Clock { ours, theirs } => format!(
                "このマシンの時計がファイルシステムの時計より {} 秒{}います。NTP で時計を合わせてください",
                (ours - theirs).abs() / 1000,
                if ours > theirs { "進んで" } else { "遅れて" }
            ),
            LandError::Linked(path) => format!(
                "{path}: ハードリンクがあるため、書き込めません。`cp -p` と `mv` でコピーに置き換えてください"
            ),
            LandError::Unsuited(_) => {
                format!("ルートのファイルシステムが要件を満たしていません（{error}）")
            }
            LandError::Foreign(path) => format!(
                "{path}: このパスかその上位に、hiwake が作っていないファイル、リンクまたはフォルダがあります。別の場所に移してください"
            ),
        };
        Fault { en: error.to_string(), ja }
    }
}
